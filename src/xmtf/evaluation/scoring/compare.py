"""Two evaluations of the same items, compared item by item: is one model better, or was it luck?

A difference of paired answers is much surer than the difference of two intervals. Items are paired by suite, axis,
task, split, template and row (where the two folders have no suite in common, by the rest), and only where prompt,
choices and references are equal: other prompts under equal names are refused.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xmtf.errors import ConfigError, SourceError
from xmtf.evaluation.metrics.registry import is_graded, item_counts, item_values
from xmtf.execution import warn
from xmtf.records import in_percent
from xmtf.results.estimates import Estimate, no_change, percentiles
from xmtf.results.files import no_results
from xmtf.results.items import About, JobInfo, item_files
from xmtf.results.paired import Models, PairedTest, paired_test
from xmtf.results.resampling import JobCounts, Resamples, row_set
from xmtf.text.table import aligned

__all__ = ["Difference", "compare_lines", "compare_results", "paired_difference"]

_COLUMNS = ("row", "prompt", "choices", "references", "correct", "text", "error", "ending")


class JobKey(NamedTuple):
    """What items are paired by, but for their row."""

    suite: str
    axis: str
    task: str
    split: str
    template: str


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better the second model is.

    Attributes:
        task: Task id; ``<dataset>, mean of N languages``; or ``all``.
        metric: ``correct`` (right or wrong: accuracy, exact match), or a graded metric such as ``bleu``.
        items: Pairs of answers.
        first: Value of the first model: share that is right, or the metric, a mean over templates.
        second: Value of the second model.
        change: Second - first.
        low: Lower end of its 95 % interval; rows are resampled, each with all of its templates and translations.
        high: Upper end.
        gained: Items that only the second gets right; None where items are not right or wrong.
        lost: Items that only the first gets right.
        p_value: Two-sided, with rows as units: McNemar's exact test where each row is asked once, else by
            exchanging the models' answers to rows; graded metrics by the paired bootstrap. None for means.
        suite: Suite that both asked, or ``""`` where the folders have no suite in common.
        axis: What it holds out.
    """

    task: str
    metric: str
    items: int
    first: float
    second: float
    change: float
    low: float
    high: float
    gained: int | None = None
    lost: int | None = None
    p_value: float | None = None
    suite: str = ""
    axis: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    """What one folder holds of one job: its items that were judged, by row."""

    about: About
    items: Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One item of both folders."""

    key: JobKey
    row: int
    about: About
    first: Mapping[str, Any]
    second: Mapping[str, Any]

    @property
    def rows_of(self) -> str:
        job = self.about.job
        return row_set(job.parallel, job.provenance.task, job.provenance.split)


def compare_results(first: Path, second: Path) -> list[Difference]:
    """Compare two results folders.

    Returns:
        For each suite: one entry for each task and metric that both were judged by, one for the mean over the languages
        of each dataset that has several, and one for all right-or-wrong items together.

    Raises:
        SourceError: No items there, or none in common.
        ConfigError: Items of equal names have other prompts, choices or references, or one folder does not say which
            answers were cut.
        DataError: An items file is broken.
    """
    pairs = _pairs(first, second)
    suites: dict[tuple[str, str], dict[str, list[_Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        suites[pair.key.suite, pair.key.axis][pair.key.task].append(pair)
    differences: list[Difference] = []
    for (suite, axis), tasks in suites.items():
        found = list(_suite_differences(tasks))
        if any(one.metric == "correct" for one in found):
            everything = [pair for members in tasks.values() for pair in members if _is_judged(pair)]
            found.append(_shares("all" if len(suites) == 1 else f"all of {suite}", everything))
        differences += [_in_suite(one, suite, axis) for one in found]
    if not differences:
        raise SourceError(f"{first} and {second} have no scored item in common; evaluate the same tasks and rows")
    return differences


def _in_suite(one: Difference, suite: str, axis: str) -> Difference:
    values = {name: getattr(one, name) for name in Difference.__dataclass_fields__}
    return Difference(**values | {"suite": suite, "axis": axis})


def _suite_differences(tasks: Mapping[str, Sequence[_Pair]]) -> Iterator[Difference]:
    """Yield the differences of each task, then the means over the languages of each dataset."""
    datasets: dict[str, dict[str, Sequence[_Pair]]] = defaultdict(dict)
    for task, pairs in tasks.items():
        datasets[task.rpartition("/")[0] or task][task] = pairs
        judged = [pair for pair in pairs if _is_judged(pair)]
        if judged:
            yield _shares(task, judged)
        for metric in _graded(pairs):
            chosen = [pair for pair in pairs if metric in pair.about.job.metrics]
            yield _difference(task, _graded_models(metric, chosen), len(chosen))
    for root, members in datasets.items():
        for metric in dict.fromkeys(name for pairs in members.values() for name in ("correct", *_graded(pairs))):
            yield from _mean_of_languages(root, metric, members)


def _pairs(first: Path, second: Path) -> list[_Pair]:
    ours, theirs = _read(first), _read(second)
    if not {key[:2] for key in ours} & {key[:2] for key in theirs}:
        ours, theirs = _without_suites(ours), _without_suites(theirs)
    pairs = [
        _Pair(key, row, job.about, item, theirs[key].items[row])
        for key, job in ours.items()
        if key in theirs
        for row, item in job.items.items()
        if row in theirs[key].items
    ]
    _check_equal(pairs, first, second)
    _check_endings(pairs, first, second)
    _tell_forms({key: (ours[key].about, theirs[key].about) for key in {pair.key for pair in pairs}}, first, second)
    return pairs


def _tell_forms(jobs: Mapping[JobKey, tuple[About, About]], first: Path, second: Path) -> None:
    """Print where one model was asked in its chat format and the other plainly."""
    mixed = {key.task: _in_chat(one) for key, (one, other) in jobs.items() if _in_chat(one) != _in_chat(other)}
    for in_chat in sorted(set(mixed.values())):
        chat, plain = (first, second) if in_chat else (second, first)
        tasks = ", ".join(sorted(task for task, form in mixed.items() if form == in_chat)[:3])
        warn(
            f"  {tasks}: {chat} was prompted in its chat format, {plain} without: the change combines model and format"
        )


def _in_chat(about: About) -> bool:
    return "chat" in about.computed


def _without_suites(jobs: Mapping[JobKey, _Job]) -> dict[JobKey, _Job]:
    """Take jobs by task, split and template alone; of several that are alike, the one with the most items."""
    found: dict[JobKey, _Job] = {}
    for key, job in jobs.items():
        bare = key._replace(suite="", axis="")
        if bare not in found or len(job.items) > len(found[bare].items):
            found[bare] = job
    return found


def _check_equal(pairs: Sequence[_Pair], first: Path, second: Path) -> None:
    """Refuse items that have the same name and are not the same."""
    for name in ("prompt", "choices", "references"):
        other = Counter(pair.key.task for pair in pairs if (pair.first[name] or None) != (pair.second[name] or None))
        if other:
            where = ", ".join(f"{task}: {count:,}" for task, count in other.most_common(3))
            more = f" and {len(other) - 3} more tasks" if len(other) > 3 else ""
            raise ConfigError(
                f"{first} and {second}: {other.total():,} of {len(pairs):,} items with the same name have different "
                f"{name} "
                f"({where}{more}); evaluate both with the same templates and data"
            )


def _check_endings(pairs: Sequence[_Pair], first: Path, second: Path) -> None:
    """Refuse to compare numbers of answers where only one folder says which were cut."""
    numbers = [pair for pair in pairs if "numeric_match" in pair.about.job.metrics]
    tells = [any(getattr(pair, side)["ending"] for pair in numbers) for side in ("first", "second")]
    if numbers and tells[0] != tells[1]:
        silent = second if tells[0] else first
        raise ConfigError(
            f"{silent}: does not record which answers were truncated, so its numeric_match is not comparable; "
            f"evaluate it again"
        )


def _is_judged(pair: _Pair) -> bool:
    return pair.first["correct"] is not None and pair.second["correct"] is not None


def _graded(pairs: Sequence[_Pair]) -> list[str]:
    """Return the graded metrics that texts of the pairs are judged by."""
    jobs = {pair.key: pair.about.job for pair in pairs}
    return list(dict.fromkeys(name for job in jobs.values() for name in job.metrics if is_graded(name)))


def _shares(task: str, pairs: Sequence[_Pair]) -> Difference:
    keys = [(pair.rows_of, pair.key.template, pair.row) for pair in pairs]
    return paired_difference(task, [(pair.first["correct"], pair.second["correct"]) for pair in pairs], keys)


def paired_difference(
    task: str, pairs: Sequence[tuple[bool, bool]], keys: Sequence[tuple[str, str, int]]
) -> Difference:
    """Compare right-or-wrong answers.

    Args:
        task: What the answers are to.
        pairs: (first is right, second is right) of each item.
        keys: Set of rows, template and row of each item; items of a row are resampled together.
    """
    gained = sum(other and not one for one, other in pairs)
    lost = sum(one and not other for one, other in pairs)
    return _difference(task, _share_models(pairs, keys), len(pairs), gained, lost)


def _share_models(pairs: Sequence[tuple[bool, bool]], keys: Sequence[tuple[str, str, int]]) -> Models:
    sets: dict[str, list[int]] = defaultdict(list)
    for place, (rows_of, _, _) in enumerate(keys):
        sets[rows_of].append(place)
    first, second = (
        [
            JobCounts(
                rows_of,
                np.array([keys[place][2] for place in places], dtype=np.int64),
                np.array([(float(pairs[place][side]), 1.0) for place in places]),
            )
            for rows_of, places in sets.items()
        ]
        for side in (0, 1)
    )
    return Models("correct", first, second)


def _graded_models(metric: str, pairs: Sequence[_Pair]) -> Models:
    """Return the counts of a graded metric, template by template, computed from the texts for both models alike."""
    language = pairs[0].about.job.provenance.language
    references = [pair.first["references"] for pair in pairs]
    cut = [False] * len(pairs)  # no graded metric reads the end of an answer
    texts = [[getattr(pair, side)["text"] for pair in pairs] for side in ("first", "second")]
    counts = [np.array([one for (one,) in item_counts([metric], side, references, language, cut)]) for side in texts]
    templates: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        templates[pair.rows_of, pair.key.template].append(place)
    rows = np.array([pair.row for pair in pairs], dtype=np.int64)
    first, second = (
        [JobCounts(rows_of, rows[places], side[places]) for (rows_of, _), places in templates.items()]
        for side in counts
    )
    return Models(metric, first, second)


def _difference(
    task: str, models: Models, items: int, gained: int | None = None, lost: int | None = None
) -> Difference:
    test: PairedTest = paired_test(models)
    return Difference(task, models.measure, items, test.first, test.second, *test.change, gained, lost, test.p_value)


def _mean_of_languages(root: str, metric: str, tasks: Mapping[str, Sequence[_Pair]]) -> Iterator[Difference]:
    """Yield the mean over the languages of a dataset, each with the same weight; nothing where there is one."""
    by_language: dict[str, list[Models]] = defaultdict(list)
    items = 0
    for pairs in tasks.values():
        chosen = [pair for pair in pairs if (_is_judged(pair) if metric == "correct" else metric in _graded([pair]))]
        if chosen:
            items += len(chosen)
            by_language[chosen[0].about.job.provenance.language].append(_models(metric, chosen))
    if len(by_language) < 2:
        return
    resamples = Resamples([job for members in by_language.values() for models in members for job in models.first])
    values = np.mean([np.mean([m.values() for m in members], axis=0) for members in by_language.values()], axis=0)
    changes: npt.NDArray[np.float64] = np.mean(
        [np.mean([m.changes(resamples) for m in members], axis=0) for members in by_language.values()], axis=0
    )
    first, second = map(float, values)
    name = f"{root}, mean of {len(by_language)} languages"
    everything = [models for members in by_language.values() for models in members]
    change = Estimate(second - first, *percentiles(changes))
    if all(models.is_unchanged for models in everything):
        change = no_change(metric, [job for models in everything for job in models.first])
    yield Difference(name, metric, items, first, second, *change)


def _models(metric: str, pairs: Sequence[_Pair]) -> Models:
    if metric != "correct":
        return _graded_models(metric, pairs)
    keys = [(pair.rows_of, pair.key.template, pair.row) for pair in pairs]
    return _share_models([(pair.first["correct"], pair.second["correct"]) for pair in pairs], keys)


def _read(folder: Path) -> dict[JobKey, _Job]:
    """Return what a folder holds of each job."""
    files = item_files(folder)
    if not files:
        raise no_results(folder, "items/*.parquet")
    found: dict[JobKey, _Job] = {}
    for about, table in (job for file in files for job in file.each_job(_COLUMNS)):
        job, asked = about.job, about.job.provenance
        items = {item["row"]: _judged(job, item) for item in table.to_pylist() if item["error"] is None}
        found[JobKey(job.suite, job.axis, asked.task, asked.split, asked.template)] = _Job(about, items)
    return found


def _judged(job: JobInfo, item: dict[str, Any]) -> dict[str, Any]:
    """Judge a generated answer again, so that both folders' metrics mean the same, whatever version wrote them."""
    if job.kind == "rank" or item["text"] is None:
        return item
    cut = item["ending"] == "budget"
    values = item_values(job.metrics, item["text"], item["references"], job.provenance.language, cut=cut)
    return item | {"correct": values[0] == 1.0 if values else None}


def compare_lines(differences: Sequence[Difference]) -> list[str]:
    """Return differences as lines of aligned columns: shares and F-measures in percent, BLEU and chrF as they are."""
    several = len({(one.suite, one.axis) for one in differences}) > 1
    header = ("task", "metric", "items", "first", "second", "change", "interval", "gained", "lost", "p")
    rows = [(*((one.suite,) if several else ()), *_cells(one)) for one in differences]
    lines = [(*(("suite",) if several else ()), *header), *rows]
    return aligned(lines, numbers=range(2 + several, len(lines[0])))


def _cells(one: Difference) -> tuple[str, ...]:
    scale = 100.0 if one.metric == "correct" or in_percent(one.metric) else 1.0
    numbers = [f"{scale * one.first:.1f}", f"{scale * one.second:.1f}", f"{scale * one.change:+.1f}"]
    interval = f"[{scale * one.low:+.1f}, {scale * one.high:+.1f}]"
    counts = ["" if count is None else f"{count:,}" for count in (one.gained, one.lost)]
    p_value = "" if one.p_value is None else f"{one.p_value:.2g}"
    return (one.task, one.metric, f"{one.items:,}", *numbers, interval, *counts, p_value)
