"""The parts of a run speak of one training: its recipe, token files, model and results.

Model and results carry what proves it: the model's manifest names its training, a hash of the keys of the recipe and
of what was read; results name the bytes of the model that was asked.
"""

from __future__ import annotations

from pathlib import Path

from xmtf.artefacts.checksums import check_outputs, marked_damages, remembered_sha256
from xmtf.artefacts.event_log import read_events
from xmtf.artefacts.manifest_parts import ModelDetails, TrainCounts
from xmtf.errors import ConfigError, DataError
from xmtf.files import MANIFEST, Manifest, read_manifest
from xmtf.recipe import load_recipe
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.recipe.written import check_written
from xmtf.results.files import SCORES
from xmtf.run_folder import LABELS, RunFolder

__all__ = ["check_agreement", "check_results_folder", "log_lacks", "results_of_model"]

_AGAIN = "run the recipe again (xmtf run), which completes what is missing"


def check_agreement(run: RunFolder) -> None:
    """Refuse a run whose parts speak of different trainings.

    What was written by earlier versions, which did not say, is let through.

    Raises:
        DataError: Names the two parts that do not agree, or results that have lost their manifest.
    """
    for folder in map(run.results, LABELS):
        if (folder / SCORES).exists() and not (folder / MANIFEST).exists():
            raise DataError(f"{folder / MANIFEST}: is missing, so the results there are not finished; {_AGAIN}")
    check_written(run)
    model = _manifest(run.model)
    if model is None or (details := ModelDetails.of(model, run.model)).training is None:
        return
    _check_recipe(run, model)
    tokens = _manifest(run.tokens)
    if tokens is not None and tokens.fingerprint != model.inputs.get("tokens"):
        raise DataError(f"{run.path}: model/ was trained on token files other than those in tokens/; {_AGAIN}")
    if not results_of_model(run, details.identity):
        raise DataError(f"{run.path}: results/after was computed with weights other than those in model/; {_AGAIN}")


def log_lacks(run: RunFolder) -> str:
    """Return what the log of a run has lost, or nothing: of a finished training it holds the last step.

    Raises:
        DataError: A line of it is damaged.
    """
    model = _manifest(run.model)
    if model is None or model.stage != "train":
        return ""
    step = TrainCounts.of(model, run.model).step
    events = read_events(run.log) if run.log.is_file() else ()
    reached = max((int(event.get("step", 0)) for event in events), default=0)
    lost = f"has no entry for step {step:,}, the last of training: it was cut or deleted"
    return lost if reached < step else ""


def results_of_model(run: RunFolder, identity: str | None) -> bool:
    """Return whether the results after training, if there are any, are those of a model."""
    after = _manifest(run.results("after"))
    return after is None or identity is None or after.inputs.get("model") in (None, identity)


def check_results_folder(folder: Path) -> None:
    """Refuse results that are not what was written.

    Raises:
        DataError: A file is missing, changed, cut or empty; names it.
    """
    if (folder / MANIFEST).is_file():
        check_outputs(folder)
    else:
        for damage in marked_damages(folder, "evaluation", remembered_sha256):
            raise DataError(f"{damage}; evaluate the model again")
    scores = folder / SCORES
    if not scores.is_file() or not scores.read_bytes().strip():
        raise DataError(f"{scores}: {'is empty' if scores.is_file() else 'is missing'}; evaluate the model again")
    if not scores.read_bytes().endswith(b"\n"):
        raise DataError(f"{scores}: is cut short in its last line; evaluate the model again")


def _check_recipe(run: RunFolder, model: Manifest) -> None:
    try:
        recipe = load_recipe(run.recipe, kept=True).recipe
    except ConfigError:
        return  # of another version, whose keys cannot be compared
    section = marked(recipe, "training", recipe, effects=("result", "continues"))
    export = marked(recipe, "export", recipe)
    if stage_fingerprint("export", {"training": section, "export": export}, model.inputs) != model.fingerprint:
        raise DataError(f"{run.path}: model/ was trained with a recipe other than recipe.yaml; {_AGAIN}")


def _manifest(folder: Path) -> Manifest | None:
    return read_manifest(folder) if (folder / MANIFEST).is_file() else None
