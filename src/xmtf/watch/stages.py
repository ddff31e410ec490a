"""The stages of a run as its folder shows them: what is done, what is begun, and how far that is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xmtf.artefacts.ownership import MARKER, stage_of, work_beside
from xmtf.execution.plan import PLANNED
from xmtf.files import MANIFEST
from xmtf.json_types import JsonObject
from xmtf.run_folder import RunFolder
from xmtf.watch.kept_files import KeptFiles

__all__ = [
    "BUILDS",
    "Stage",
    "StageState",
    "build_stage",
    "plain_stage",
    "recipe_stages",
    "result_folders",
    "running_stage",
    "without_foreign",
]

StageState = Literal["done", "running", "begun", "waiting"]
BUILDS = ("mixture", "tokens")
"""Stages that are made of shards."""

_WORK: dict[str, dict[str, str]] = {
    "mixture": {
        "guard": "reading evaluation suites",
        "near": "comparing rows",
        "shards": "rendering",
        "ranges": "shuffling",
        "cuts": "cutting",
        "parts": "writing",
    },
    "tokens": {"shards": "tokenising", "languages": "joining languages"},
}
"""Stage -> folders of its shards, in order, and what is done there."""
_PLAN = "plan.jsonl"
"""File of the work folder with the shards of a build on many machines, behind one line about all of them."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: Of the stage.
        state: ``begun`` is not finished, and nobody is seen to work on it.
        done: How much of it is done.
        total: How much it is, where that is known.
        unit: What is counted.
        seconds: That it took, where it is done.
        note: What is being done, or came out.
    """

    name: str
    state: StageState = "waiting"
    done: int | None = None
    total: int | None = None
    unit: str = ""
    seconds: float | None = None
    note: str = ""


def recipe_stages(recipe: JsonObject) -> tuple[str, ...]:
    """Return the stages that a run of a recipe has."""
    evaluation = recipe.get("evaluation") or {}
    model = recipe.get("model") or {}
    suites = bool(evaluation.get("suites")) if isinstance(evaluation, dict) else False
    named = ["mixture", "tokens"]
    named += ["initial"] if isinstance(model, dict) and model.get("base") is None else []
    named += ["before"] if suites and evaluation.get("before") else []
    named += ["train"]
    named += ["after"] if suites else []
    return (*named, "report")


def build_stage(name: str, folder: Path, files: KeptFiles) -> Stage:
    """Return a stage that is a mixture or token files, by its folder and the work next to or inside it."""
    work = work_beside(folder) if name == "mixture" else folder
    manifest = files.json(folder / MANIFEST)
    begun = [(note, *_count(work / part, files)) for part, note in _WORK[name].items() if (work / part).is_dir()]
    if manifest and not (name == "mixture" and work.is_dir()):
        return _done(name, manifest)
    if not begun:
        started = work.is_dir() and (name == "mixture" or (folder / MARKER).is_file())
        return Stage(name, "begun" if started else "waiting", note="reading sources" if started else "")
    note, done, total = next((each for each in begun if each[2] is None or each[1] < each[2]), begun[-1])
    if total is None:
        total = files.num_lines(work / _PLAN) - 1 if (work / _PLAN).is_file() else None
    return Stage(name, "begun", done, total, "shards", note=note if done or total else "preparing")


def _done(name: str, manifest: JsonObject) -> Stage:
    counts = manifest.get("counts")
    out = counts.get("out") if isinstance(counts, dict) else None
    note = f"{out:,} examples" if isinstance(out, int) else ""
    return Stage(name, "done", seconds=_seconds(manifest), note=note)


def plain_stage(name: str, folder: Path, files: KeptFiles) -> Stage:
    """Return a stage that appears whole, such as the first weights or the report."""
    manifest = files.json(folder / MANIFEST)
    return Stage(name, "done", seconds=_seconds(manifest)) if manifest else Stage(name)


def _seconds(manifest: JsonObject) -> float | None:
    seconds = manifest.get("wall_time_s")
    return float(seconds) if isinstance(seconds, int | float) else None


def _count(folder: Path, files: KeptFiles) -> tuple[int, int | None]:
    """Return the shards of a folder that are done, and how many there will be, where that is written down."""
    try:
        done = sum(not entry.name.startswith(".") and entry.is_dir() for entry in os.scandir(folder))
    except OSError:  # it has just gone
        done = 0
    planned = files.json(folder / PLANNED).get("shards")
    return done, planned if isinstance(planned, int) else None


def running_stage(stages: list[Stage], *, is_held: bool) -> list[Stage]:
    """Return the stages, with that which a process works on where one holds the lock of the folder.

    It is the first that is begun, or where none is, the first after those that are done.
    """
    if not is_held or not stages:
        return stages
    place = next((index for index, stage in enumerate(stages) if stage.state == "begun"), None)
    if place is None and any(stage.state == "done" for stage in stages):
        place = next((index for index, stage in enumerate(stages) if stage.state == "waiting"), None)
    if place is None:
        return stages
    return [*stages[:place], replace(stages[place], state="running"), *stages[place + 1 :]]


def without_foreign(stages: list[Stage]) -> list[Stage]:
    """Leave out what this folder never had, though a later stage is begun: token files may lie elsewhere."""
    begun = [index for index, stage in enumerate(stages) if stage.state != "waiting"]
    last = begun[-1] if begun else -1
    return [stage for index, stage in enumerate(stages) if index > last or stage.state != "waiting"]


def result_folders(run: RunFolder) -> Iterator[Path]:
    """Yield the results folders of a run."""
    try:
        entries = sorted(entry.name for entry in os.scandir(run.all_results) if entry.is_dir())
    except OSError:
        return
    yield from (run.results(name) for name in entries if stage_of(run.results(name)) == "evaluation")
