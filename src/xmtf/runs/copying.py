"""Finished stages of a run copied to an address as they come: a stage writes locally, its manifest is copied last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.remote.storage import copy_beside, copy_up, is_copied, is_finished_at
from xmtf.run_folder import LABELS, RunFolder
from xmtf.runs.pipeline import STAGES, StageName

__all__ = ["copies_to"]


def copies_to(run: RunFolder, address: str, *, replace: bool = False) -> Callable[[StageName], None]:
    """Return what copies the folder of a finished stage to an address, unless the same is there.

    Args:
        run: The run.
        address: Such as ``s3://bucket/runs/demo``; each folder keeps its place below it.
        replace: Whether finished folders there that are not those of this run are replaced.

    Raises:
        ConfigError: The address is wrong, or has finished folders of something else.
        UserError: The package of its storage is missing, or it refuses.
    """

    def place_of(folder: Path) -> str:
        return f"{address.rstrip('/')}/{folder.relative_to(run.path).as_posix()}"

    def copy(stage: StageName) -> None:
        folder = stage_folder(run, stage)
        if not is_copied(folder, place_of(folder)):
            copy_up(folder, place_of(folder), replace=True)
            say(f"{stage}: copied to {place_of(folder)}")
        if stage == "report":
            copy_beside(run.model, place_of(run.model))  # the report writes the model's card

    for stage in STAGES:  # what is wrong with an address shows before any work
        folder = stage_folder(run, stage)
        if not replace and is_finished_at(place_of(folder)) and not is_copied(folder, place_of(folder)):
            raise ConfigError(
                f"{place_of(folder)}: a finished folder that is not the one in {run.path}; copy to another address, or give "
                "--replace to overwrite it"
            )
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
