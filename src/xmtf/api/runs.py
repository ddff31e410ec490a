"""Runs and training from Python."""

from __future__ import annotations

import os
from pathlib import Path

from xmtf.api.recipes import Overrides, RecipeLike, opened
from xmtf.errors import ConfigError
from xmtf.run_folder import RunFolder
from xmtf.runs.pipeline import run_recipe
from xmtf.runs.training import train_recipe

__all__ = ["run", "train"]


def run(recipe: RecipeLike, overrides: Overrides = (), *, until: str | None = None, replace: bool = False) -> RunFolder:
    """Carry out a recipe as ``xmtf run`` does: every stage that is not finished, from data to report.

    Args:
        recipe: The recipe, its file or its name.
        overrides: Keys that have another value.
        until: Last stage to do, such as ``tokens``; all of them by default.
        replace: Replace a finished model, results, or checkpoints of another training that are in the run folder.

    Returns:
        The names of what lies in the run folder: ``.model``, ``.report``, ``.results("after")``.

    Raises:
        UserError: The recipe or its data are wrong, or another process works in the run folder.
    """
    return RunFolder(run_recipe(opened(recipe, overrides), until=until, replace=replace).folder)


def train(
    recipe: RecipeLike, overrides: Overrides = (), *, tokens: Path | str | None = None, replace: bool = False
) -> Path:
    """Finetune the model of a recipe and return the folder of the finished one.

    The mixture and the token files are made first where they are not there. Training resumes from its last checkpoint.
    Under torchrun, or with its variables (``RANK``, ``WORLD_SIZE`` ...) set, all processes call it, with ``tokens``
    that are finished.

    Args:
        recipe: The recipe, its file or its name.
        overrides: Keys that have another value.
        tokens: Token files to train on instead of the run's own.
        replace: Replace a finished model or checkpoints of another training that are in the run folder.

    Raises:
        UserError: The recipe, the model or the machine do not fit together; says what to change.
    """
    loaded = opened(recipe, overrides)
    if tokens is None and os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError("train: build the token files first, and give them as tokens=: several processes train")
    if tokens is None:
        run_recipe(loaded, until="tokens", replace=replace)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun has started
    train_recipe(loaded, None if tokens is None else Path(tokens), first=first, replace=replace)
    return loaded.run.model
