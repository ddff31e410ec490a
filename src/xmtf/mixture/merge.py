"""From rendered shards to the mixture: order, write, describe.

The work folder beside the mixture holds everything until the mixture is whole::

    .mixture.work/
      guard/    index of the evaluation inputs
      shards/   <task>/<language runs>.arrow, done.json
      order/    <language>.json: the runs of a language, and what a sample leaves out
      parts/    <language>-<number>/part.parquet, done.json
"""

from __future__ import annotations

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmtf.execution import Plan, ShardTask
from xmtf.files import content_hash, shard_name, write_json
from xmtf.mixture.order import LanguageOrder, language_order, part_ranges, sample_limit
from xmtf.mixture.parts import PART_FILE
from xmtf.mixture.rates import quotas
from xmtf.mixture.runs import Run
from xmtf.recipe.schema import Rates

__all__ = ["DUPLICATE", "NOT_SAMPLED", "Shard", "place_parts", "plan_parts"]

DUPLICATE = "duplicate"
"""Reason of examples whose inputs and targets stood before."""
NOT_SAMPLED = "not sampled"
"""Reason of examples that the rates left out."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One finished shard of rendered examples.

    Attributes:
        name: Its folder under ``shards/``.
        fingerprint: Hash of what it was made from.
        task: Task id.
        rate: Relative rate of the task.
        result: What :func:`xmtf.mixture.build.build_shard` reported.
        dropped: Examples that the merge leaves out, by reason; filled by :func:`plan_parts`.
    """

    name: str
    fingerprint: str
    task: str
    rate: float
    result: dict[str, Any]
    dropped: Counter[str]

    def runs(self) -> list[Run]:
        """Return its runs."""
        return [Run.from_json(run) for run in self.result["runs"]]


@dataclass(frozen=True, slots=True)
class _LanguageRun:
    """A run and the shard that it belongs to."""

    shard: Shard
    run: Run

    def path(self) -> str:
        return f"shards/{self.shard.name}/{self.run.file}"


def plan_parts(work: Path, shards: list[Shard], rates: Rates, shard_rows: int) -> Plan:
    """Decide on keys alone which examples stay and which part each goes to; write the order files.

    Args:
        work: The work folder.
        shards: All shards, in the order of the plan; of equal examples the first one's stays.
        rates: How many examples of each task are wanted.
        shard_rows: Most examples in a part.
    """
    by_language: dict[str, list[_LanguageRun]] = defaultdict(list)
    for shard in shards:
        for run in shard.runs():
            by_language[run.language].append(_LanguageRun(shard, run))
    limits = _limits(work, by_language, rates)
    tasks = []
    for language in sorted(by_language):
        runs = by_language[language]
        order = _order(work, runs)
        sampled = order.sampled([limits.get((language, run.shard.task)) for run in runs])
        _count_drops(runs, order, sampled)
        spec = _write_order(work, language, runs, [limits.get((language, run.shard.task)) for run in runs])
        for number, part in enumerate(part_ranges(sampled.keys, shard_rows)):
            part_spec = spec | {"start": part.start, "stop": part.stop}
            tasks.append(ShardTask(f"{language}-{number:05d}", part_spec, part.rows))
    return Plan("xmtf.mixture.parts:write_part", tuple(tasks))


def _order(work: Path, runs: list[_LanguageRun]) -> LanguageOrder:
    return language_order([work / run.path() for run in runs])


def _limits(work: Path, by_language: dict[str, list[_LanguageRun]], rates: Rates) -> dict[tuple[str, str], int | None]:
    """Return the sample key below which the examples of each (language, task) stay."""
    if rates.policy == "all":
        return {}
    sample_keys = {}
    task_rates = {}
    for language in sorted(by_language):
        runs = by_language[language]
        order = _order(work, runs)
        for task in dict.fromkeys(run.shard.task for run in runs):
            own = [number for number, run in enumerate(runs) if run.shard.task == task]
            sample_keys[language, task] = order.sample_keys_of(own)
            task_rates[language, task] = runs[own[0]].shard.rate
    wanted = quotas([len(keys) for keys in sample_keys.values()], list(task_rates.values()), rates)
    return {unit: sample_limit(keys, quota) for (unit, keys), quota in zip(sample_keys.items(), wanted, strict=True)}


def _count_drops(runs: list[_LanguageRun], order: LanguageOrder, sampled: LanguageOrder) -> None:
    for run, duplicates, before, after in zip(runs, order.duplicates, order.sizes(), sampled.sizes(), strict=True):
        run.shard.dropped.update({DUPLICATE: duplicates, NOT_SAMPLED: before - after})


def _write_order(work: Path, language: str, runs: list[_LanguageRun], limits: list[int | None]) -> dict[str, Any]:
    entries = [
        {"path": run.path(), "shard": run.shard.fingerprint, "groups": run.run.to_json()["groups"], "limit": limit}
        for run, limit in zip(runs, limits, strict=True)
    ]
    file = f"order/{language}.json"
    write_json(work / file, {"runs": entries})
    return {"order": file, "order_hash": content_hash(entries)}


def place_parts(work: Path, folder: Path, plan: Plan) -> Iterator[str]:
    """Put the written parts under their final names in ``folder``; yield these names in the order of the plan.

    Files are linked, not moved, so that a killed merge finds them again.
    """
    for task in plan.tasks:
        language, _, number = task.name.rpartition("-")
        name = f"language={language}/{shard_name(int(number))}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = work / "parts" / task.name / PART_FILE
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)  # a file system without links
        yield name
