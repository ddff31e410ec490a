"""One training in its run folder, as ``xmtf train`` and the interface from Python start it."""

from __future__ import annotations

from pathlib import Path

from xmtf.artefacts.ownership import check_run_folder
from xmtf.extras import require_extra
from xmtf.files import MANIFEST, Manifest
from xmtf.recipe import LoadedRecipe
from xmtf.runs.measures import suite_measures
from xmtf.runs.replacing import prepare

__all__ = ["train_recipe"]


def train_recipe(loaded: LoadedRecipe, tokens: Path | None = None, *, first: bool = True, replace: bool) -> Manifest:
    """Finetune the model of a recipe on token files.

    Args:
        loaded: The recipe.
        tokens: Folder of token files; default those of the run.
        first: Whether this process is the first of torchrun's, which looks at what would be replaced.
        replace: Replace a finished model or checkpoints of another training.

    Raises:
        UserError: The recipe, the token files, the model or the machine do not fit together.
    """
    require_extra()
    from xmtf.training import train_in_folder

    tokens = tokens or loaded.run.tokens
    if first and (tokens / MANIFEST).exists():
        check_run_folder(loaded.run_folder)
        prepare(loaded, replace=replace, tokens=tokens)
    return train_in_folder(loaded, tokens=tokens, measures=suite_measures(loaded, tokens))
