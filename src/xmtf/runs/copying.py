"""Finished stages of a run copied to an address as they come: a stage writes locally, its manifest is copied last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xmtf.execution import say
from xmtf.remote.storage import copy_beside, copy_up, is_copied, open_storage
from xmtf.run_folder import LABELS, RunFolder
from xmtf.runs.pipeline import StageName

__all__ = ["copies_to"]


def copies_to(run: RunFolder, address: str) -> Callable[[StageName], None]:
    """Return what copies the folder of a finished stage to an address, unless the same is there.

    Args:
        run: The run.
        address: Such as ``s3://bucket/runs/demo``; each folder keeps its place below it.

    Raises:
        ConfigError: The address is wrong.
        UserError: The package of its storage is missing.
    """
    open_storage(address)  # what is wrong with it shows before any work

    def place_of(folder: Path) -> str:
        return f"{address.rstrip('/')}/{folder.relative_to(run.path).as_posix()}"

    def copy(stage: StageName) -> None:
        folder = stage_folder(run, stage)
        if not is_copied(folder, place_of(folder)):
            copy_up(folder, place_of(folder), replace=True)
            say(f"{stage}: copied to {place_of(folder)}")
        if stage == "report":
            copy_beside(run.model, place_of(run.model))  # the report writes the model's card

    return copy


def stage_folder(run: RunFolder, stage: StageName) -> Path:
    """Return the folder that a stage writes."""
    if stage in LABELS:
        return run.results(stage)
    folders = {
        "mixture": run.mixture,
        "tokens": run.tokens,
        "initial": run.initial,
        "train": run.model,
        "report": run.report,
    }
    return folders[stage]
