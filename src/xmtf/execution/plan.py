"""A plan is data: a list of idempotent shard tasks, and a pure function that does one of them.

The same plan runs inline, in a process pool, on Ray or as a Slurm array, and gives the same bytes. A shard task writes
its files into its own folder; the folder appears, whole, when the task is done, and holds ``done.json``. Finished work
is never done again.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from xmtf.errors import ConfigError, DataError
from xmtf.files import atomic_folder, content_hash, read_json, read_jsonl, write_jsonl
from xmtf.json_types import JsonObject

__all__ = ["DONE", "PLANNED", "Plan", "ShardTask", "read_plan", "run_task", "shard_result", "share_of", "write_plan"]

DONE = "done.json"
PLANNED = ".planned.json"
"""File next to the folders of shards that says how many there will be, for those who watch."""

ShardFunction = Callable[[JsonObject, Path], JsonObject]
"""``function(spec, folder)`` writes the shard's files into ``folder`` and returns JSON counts."""


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One unit of work.

    Attributes:
        name: Names the shard's folder; unique in its plan and safe as a file name.
        spec: All that the function needs to know, as JSON values.
        cost: Rough size, for running large shards first.
    """

    name: str
    spec: JsonObject
    cost: float = 1.0

    @property
    def fingerprint(self) -> str:
        """Hash of what the task would do; a finished shard with another fingerprint is redone."""
        return content_hash(self.spec)


@dataclass(frozen=True, slots=True)
class Plan:
    """Shard tasks and the function that does them.

    Attributes:
        function: ``package.module:name`` inside xmtf of a ``ShardFunction``.
        tasks: The shard tasks, in the order in which their results are read.
    """

    function: str
    tasks: tuple[ShardTask, ...] = field(default=())

    def resolve(self) -> ShardFunction:
        """Import the function.

        Raises:
            DataError: The name is not inside xmtf, or does not exist (a plan file is input from outside).
        """
        module, _, name = self.function.partition(":")
        if module != "xmtf" and not module.startswith("xmtf."):
            raise DataError(f"plan: {self.function!r} is not a function of xmtf")
        try:
            function: ShardFunction = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            raise DataError(f"plan: this version of xmtf has no function {self.function!r}") from None
        return function


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as JSONL: a header line with the function, then one task per line."""
    write_jsonl(path, [{"function": plan.function}, *(asdict(task) for task in plan.tasks)])


def read_plan(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        DataError: Missing, or not a plan.
    """
    lines: Iterable[JsonObject] = read_jsonl(path)
    header, *tasks = lines
    try:
        return Plan(header["function"], tuple(ShardTask(**task) for task in tasks))
    except (KeyError, TypeError):
        raise DataError(f"{path}: not a plan file") from None


def share_of(path: Path, plan: Plan, index: int, jobs: int | None) -> range:
    """Return the numbers of the tasks of a plan that one job of an array does.

    Args:
        path: File of the plan, for messages.
        plan: The plan.
        index: The task; with ``jobs`` the job, from 0.
        jobs: Share the tasks among so many jobs: job 1 of 3 does tasks 1, 4, 7, ...

    Raises:
        ConfigError: The plan has no such task, or there is no such job.
    """
    if jobs is not None:
        if not 0 <= index < jobs:
            raise ConfigError(f"there is no job {index} of {jobs}; --index ranges from 0 to {jobs - 1}")
        return range(index, len(plan.tasks), jobs)
    if not 0 <= index < len(plan.tasks):
        raise ConfigError(f"{path}: there is no task {index}; the plan has tasks 0 to {len(plan.tasks) - 1}")
    return range(index, index + 1)


def run_task(plan: Plan, index: int, folder: Path) -> dict[str, object]:
    """Do one task of a plan, unless it is done; return what its function returned.

    Args:
        plan: The plan.
        index: Which of its tasks, from 0.
        folder: Folder that holds one folder per shard.
    """
    task = plan.tasks[index]
    finished = shard_result(task, folder)
    if finished is not None:
        return finished
    with atomic_folder(folder / task.name) as temporary:
        result = plan.resolve()(task.spec, temporary)
        (temporary / DONE).write_bytes(orjson.dumps({"fingerprint": task.fingerprint, "result": result}))
    return result


def shard_result(task: ShardTask, folder: Path) -> JsonObject | None:
    """Return what a finished shard reported, or None where it is still to do."""
    try:
        done = read_json(folder / task.name / DONE)
    except DataError:  # absent, or cut short by a power failure: to be done, again or for the first time
        return None
    if done["fingerprint"] != task.fingerprint:
        return None
    result: JsonObject = done["result"]
    return result
