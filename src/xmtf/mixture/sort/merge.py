"""From rendered shards to the mixture: order, write, describe.

The work folder next to the mixture holds everything until the mixture is whole::

    .mixture.work/
      guard/    index of the evaluation inputs
      shards/   <task>/<language runs>.arrow, done.json
      order/    <language>.runs.json and <language>.json: the runs of a language, and what a sample leaves out
      ranges/   <language>-<number>/{high,low,run,sample}.npy, done.json: keys that stay
      cuts/     <language>-<number>/done.json: keys at which parts begin
      parts/    <language>-<number>/part.parquet, done.json
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from xmtf.execution import Plan, ShardTask, run_shown
from xmtf.files import content_hash, link_or_copy, shard_name, write_json
from xmtf.mixture.plan.rates import shares
from xmtf.mixture.sort.order import SampleKeys, key_ranges, part_starts, sample_limit
from xmtf.mixture.sort.parts import PART_FILE
from xmtf.mixture.sort.runs import Run
from xmtf.recipe.schema import Execution, Mixture, Rates

__all__ = ["DUPLICATE", "NOT_SAMPLED", "Shard", "place_parts", "plan_parts"]

DUPLICATE = "duplicate"
"""Reason of examples whose inputs and targets stood before."""
NOT_SAMPLED = "not sampled"
"""Reason of examples that the rates left out."""

RANGES = "ranges"
"""Folder of the ranges in the work folder."""

RANGE_ROWS = 2**21
"""Examples whose keys one task decides on: about 200 MB while it does."""

INLINE_ROWS = 2**20
"""Fewer examples are put in order here: that takes a second, and workers take longer to start."""


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


@dataclass(frozen=True, slots=True)
class _Language:
    """The runs of a language and what was found in its ranges.

    Attributes:
        code: The language.
        runs: Its runs, in the order of the plan.
        ranges: Their tasks, in the order of the keys.
        results: What each of these reported.
    """

    code: str
    runs: list[_LanguageRun]
    ranges: list[ShardTask]
    results: list[dict[str, Any]]

    def sizes(self) -> list[list[int]]:
        """Return the examples of each run in each range, duplicates left out."""
        return [result["sizes"] for result in self.results]

    def sample_keys(self, work: Path) -> SampleKeys:
        return SampleKeys([work / RANGES / task.name for task in self.ranges], self.sizes())


def plan_parts(work: Path, shards: list[Shard], mixture: Mixture, execution: Execution) -> Plan:
    """Decide on keys alone which examples stay and which part each goes to; write the order files.

    Args:
        work: The work folder.
        shards: All shards, in the order of the plan; of equal examples the first one's stays.
        mixture: How many examples of each task are wanted (``rates``), and of a part (``shard_rows``).
        execution: How to run the tasks.
    """
    by_language: dict[str, list[_LanguageRun]] = defaultdict(list)
    for shard in shards:
        for run in shard.runs():
            by_language[run.language].append(_LanguageRun(shard, run))
    rows = sum(run.run.rows for runs in by_language.values() for run in runs)
    # Starting workers takes longer than sorting the keys of a small mixture.
    if rows < INLINE_ROWS:
        execution = execution.model_copy(update={"engine": "inline"})
    sampled = mixture.rates.is_sampling
    languages = _order_languages(work, dict(sorted(by_language.items())), sampled, execution)
    limits = _limits(work, languages, mixture.rates) if sampled else {}
    specs, sizes = {}, {}
    for language in languages:
        of_runs = [limits.get((language.code, run.shard.task)) for run in language.runs]
        specs[language.code] = _write_order(work, language, of_runs)
        kept = language.sample_keys(work).sizes(of_runs) if sampled else language.sizes()
        _count_drops(language, kept)
        sizes[language.code] = [sum(of_range) for of_range in kept]
    starts = _cut_languages(work, languages, specs, sizes, mixture.shard_rows, execution)
    return Plan("xmtf.mixture.sort.parts:write_part", tuple(_part_tasks(specs, sizes, starts, mixture.shard_rows)))


def _order_languages(
    work: Path, by_language: dict[str, list[_LanguageRun]], sampled: bool, execution: Execution
) -> list[_Language]:
    """Merge the keys of every language, range by range."""
    languages = []
    for code, runs in by_language.items():
        entries = [{"path": run.path(), "shard": run.shard.fingerprint} for run in runs]
        file, rows = f"order/{code}.runs.json", sum(run.run.rows for run in runs)
        write_json(work / file, {"runs": entries})
        spec = {"runs": file, "runs_hash": content_hash(entries), "sampled": sampled}
        # Keys are hashes, so equal ranges of keys hold about as many rows each: no pass is needed to balance them.
        ranges = key_ranges(rows, RANGE_ROWS)
        tasks = [
            ShardTask(f"{code}-{number:05d}", spec | {"start": start, "stop": stop}, rows / len(ranges))
            for number, (start, stop) in enumerate(ranges)
        ]
        languages.append(_Language(code, runs, tasks, []))
    plan = Plan(
        "xmtf.mixture.sort.order:order_range", tuple(task for language in languages for task in language.ranges)
    )
    results = iter(run_shown(plan, work / RANGES, execution, "shuffling"))
    for language in languages:
        language.results.extend(islice(results, len(language.ranges)))
    return languages


def _limits(work: Path, languages: list[_Language], rates: Rates) -> dict[tuple[str, str], int | None]:
    """Return the sample key below which the examples of each (language, task) stay."""
    sample_keys = {}
    task_rates = {}
    for language in languages:
        found = language.sample_keys(work)
        for task in dict.fromkeys(run.shard.task for run in language.runs):
            own = [number for number, run in enumerate(language.runs) if run.shard.task == task]
            sample_keys[language.code, task] = found.of_runs(own)
            task_rates[language.code, task] = language.runs[own[0]].shard.rate
    sizes = [sum(map(len, keys)) for keys in sample_keys.values()]
    wanted = shares(list(sample_keys), sizes, list(task_rates.values()), rates)
    return {unit: sample_limit(keys, quota) for (unit, keys), quota in zip(sample_keys.items(), wanted, strict=True)}


def _count_drops(language: _Language, kept: list[list[int]]) -> None:
    """Count on every shard what the merge leaves out; ``kept`` are examples of each run in each range."""
    duplicates = [result["duplicates"] for result in language.results]
    for number, run in enumerate(language.runs):
        unique, stay, twice = (sum(of_range[number] for of_range in of) for of in (language.sizes(), kept, duplicates))
        run.shard.dropped.update({DUPLICATE: twice, NOT_SAMPLED: unique - stay})


def _write_order(work: Path, language: _Language, limits: list[int | None]) -> dict[str, object]:
    """Write what every part of a language needs to know of its runs; return how a part's spec names it."""
    entries = [
        {"path": run.path(), "shard": run.shard.fingerprint, "groups": run.run.to_json()["groups"], "limit": limit}
        for run, limit in zip(language.runs, limits, strict=True)
    ]
    file = f"order/{language.code}.json"
    write_json(work / file, {"runs": entries})
    return {"order": file, "order_hash": content_hash(entries)}


def _cut_languages(
    work: Path,
    languages: list[_Language],
    specs: dict[str, dict[str, Any]],
    sizes: dict[str, list[int]],
    part_rows: int,
    execution: Execution,
) -> dict[str, list[int]]:
    """Return the key at which each part of each language begins."""
    tasks = []
    for language in languages:
        starts = part_starts(sizes[language.code], part_rows)
        tasks += [
            ShardTask(task.name, specs[language.code] | _range_spec(task) | {"positions": positions}, task.cost)
            for task, positions in zip(language.ranges, starts, strict=True)
            if positions
        ]
    results = run_shown(Plan("xmtf.mixture.sort.order:cut_range", tuple(tasks)), work / "cuts", execution, "cutting")
    keys: dict[str, list[int]] = {language.code: [] for language in languages}
    for task, result in zip(tasks, results, strict=True):
        keys[task.name.rpartition("-")[0]] += result["keys"]
    return keys


def _range_spec(task: ShardTask) -> dict[str, object]:
    return {"range": f"{RANGES}/{task.name}", "range_hash": task.fingerprint}


def _part_tasks(
    specs: dict[str, dict[str, object]], sizes: dict[str, list[int]], starts: dict[str, list[int]], part_rows: int
) -> Iterator[ShardTask]:
    for code, keys in starts.items():
        total = sum(sizes[code])
        stops: list[int | None] = [*keys[1:], None]
        for number, stop in enumerate(stops if keys else []):
            spec = specs[code] | {"start": keys[number] if number else 0, "stop": stop}
            yield ShardTask(f"{code}-{number:05d}", spec, min(part_rows, total - number * part_rows))


def place_parts(work: Path, folder: Path, plan: Plan) -> Iterator[str]:
    """Put the written parts under their final names in ``folder``; yield these names in the order of the plan.

    Files are linked, not moved, so that a killed merge finds them again.
    """
    for task in plan.tasks:
        language, _, number = task.name.rpartition("-")
        name = f"language={language}/{shard_name(int(number))}"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(work / "parts" / task.name / PART_FILE, target)
        yield name
