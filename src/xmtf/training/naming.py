"""What names a training: the keys of its recipe and the inputs that what it learns depends on.

Checkpoints are resumed under the same name alone, and a finished model is kept while its fingerprint stays. Both are
derived from the marks of the schema (:mod:`xmtf.recipe.effects`) and from the fingerprints of what is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.artefacts.checksums import remembered_sha256
from xmtf.files import content_hash, read_manifest
from xmtf.json_types import JsonObject
from xmtf.models.files.identity import model_identity
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.training.loop.validation import Measure
from xmtf.training.loss.texts import present_texts

__all__ = ["TrainingIdentity", "identify_training"]


@dataclass(frozen=True, slots=True)
class TrainingIdentity:
    """What tells one training from another.

    Attributes:
        name: Names it among checkpoints: a run resumes those of its own name alone.
        fingerprint: Of the finished model: what was learnt in how many steps, and how it is exported.
        section: Keys of the recipe that the model depends on.
        inputs: Name of each input -> its fingerprint.
    """

    name: str
    fingerprint: str
    section: JsonObject
    inputs: dict[str, str]


def identify_training(
    loaded: LoadedRecipe, *, tokens: Path, initial: str, measures: Sequence[Measure] = ()
) -> TrainingIdentity:
    """Return what a training is called.

    Args:
        loaded: The recipe.
        tokens: Folder of finished token files.
        initial: Model to start from: folder, GGUF file or hub id.
        measures: What suites are measured with; they count where the best checkpoint is exported.

    Raises:
        SourceError: The model, or a text to validate on, is nowhere.
        DataError: The model was changed or cut short.
    """
    recipe = loaded.recipe
    inputs = {
        "tokens": read_manifest(tokens).fingerprint,
        "initial": model_identity(initial, offline=recipe.offline),
    }
    if recipe.training.export == "best":
        inputs |= {f"measure {measure.name}": measure.fingerprint for measure in measures}
        texts = enumerate(present_texts(loaded))
        inputs |= {f"text {number}": content_hash(remembered_sha256(path)) for number, (_, path) in texts}
    learnt = marked(recipe, "training", recipe)
    section = marked(recipe, "training", recipe, effects=("result", "continues"))
    export = marked(recipe, "export", recipe)
    fingerprint = stage_fingerprint("export", {"training": section, "export": export}, inputs)
    return TrainingIdentity(stage_fingerprint("training", learnt, inputs), fingerprint, section | export, inputs)
