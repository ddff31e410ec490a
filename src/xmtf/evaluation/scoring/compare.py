"""Two evaluations of the same items, compared item by item: is one model better, or was it luck?

A difference of paired answers is much surer than the difference of two intervals. Items are paired by
task, split, template and row, whatever the suites are called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from xmtf.errors import SourceError
from xmtf.evaluation.metrics.paired import PairedTest, judged_shares, judged_texts, paired_test, row_seed
from xmtf.evaluation.metrics.registry import GRADED_METRICS
from xmtf.records import in_percent
from xmtf.results.files import no_results
from xmtf.results.items import item_files
from xmtf.text_table import aligned

__all__ = ["Difference", "compare_lines", "compare_results", "paired_difference"]

Key = tuple[str, str, int]
"""Split, template, row."""

Text = tuple[str, Sequence[str]]
"""A generated text and its references."""

Value = TypeVar("Value")

_COLUMNS = ("row", "correct", "text", "references", "error")


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
        low: Lower end of its 95 % interval; rows are resampled, each with all of its templates.
        high: Upper end.
        gained: Items that only the second gets right; None where items are not right or wrong.
        lost: Items that only the first gets right.
        p_value: Two-sided, with rows as units: McNemar's exact test where each row is asked once, else by
            exchanging the models' answers to rows; graded metrics by the paired bootstrap. None for means.
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


@dataclass(slots=True)
class _Answers:
    """What one folder holds of one task."""

    language: str = ""
    correct: dict[Key, bool] = field(default_factory=dict)
    texts: dict[str, dict[Key, Text]] = field(default_factory=lambda: defaultdict(dict))


def compare_results(first: Path, second: Path) -> list[Difference]:
    """Compare two results folders.

    Returns:
        One entry for each task and metric that both were judged by, one for the mean over the languages of
        each dataset that has several, and one for all right-or-wrong items together.

    Raises:
        SourceError: No items there, or none in common.
        DataError: An items file is broken.
    """
    ours, theirs = _read(first), _read(second)
    differences: list[Difference] = []
    tests: dict[tuple[str, str], dict[str, tuple[str, PairedTest, int]]] = defaultdict(dict)
    everything: list[tuple[Key, tuple[bool, bool]]] = []
    for task in [task for task in ours if task in theirs]:
        pairs = _common(ours[task].correct, theirs[task].correct)
        for metric, test, items in _tests(ours[task], theirs[task]):
            differences.append(_difference(task, metric, test, items, pairs if metric == "correct" else None))
            tests[task.rpartition("/")[0] or task, metric][task] = (ours[task].language, test, items)
        everything += [((f"{task} {split}", template, row), pair) for (split, template, row), pair in pairs.items()]
    if not differences:
        raise SourceError(f"{first} and {second} have no judged item in common; evaluate the same tasks and rows")
    differences += [mean for (root, metric), found in tests.items() for mean in _mean_of_languages(root, metric, found)]
    if everything:
        keys, both = [key for key, _ in everything], [pair for _, pair in everything]
        differences.append(paired_difference("all", both, keys))
    return differences


def paired_difference(task: str, pairs: Sequence[tuple[bool, bool]], keys: Sequence[Key]) -> Difference:
    """Compare right-or-wrong answers.

    Args:
        task: What the answers are to.
        pairs: (first is right, second is right) of each item.
        keys: Split, template and row of each item; items of a row are resampled together.
    """
    first, second = (judged_shares(keys, [pair[side] for pair in pairs]) for side in (0, 1))
    return _difference(
        task, "correct", paired_test(first, second, row_seed(keys)), len(pairs), dict(zip(keys, pairs, strict=True))
    )


def _tests(ours: _Answers, theirs: _Answers) -> Iterator[tuple[str, PairedTest, int]]:
    """Yield (metric, test, items) for everything that both folders judged a task by."""
    pairs = _common(ours.correct, theirs.correct)
    if pairs:
        first, second = (judged_shares(list(pairs), [pair[side] for pair in pairs.values()]) for side in (0, 1))
        yield "correct", paired_test(first, second, row_seed(list(pairs))), len(pairs)
    for metric in [name for name in ours.texts if name in theirs.texts]:
        texts = _common(ours.texts[metric], theirs.texts[metric])
        if texts:
            told = ({key: pair[side] for key, pair in texts.items()} for side in (0, 1))
            first, second = (judged_texts(metric, side, ours.language) for side in told)
            yield metric, paired_test(first, second, row_seed(list(texts))), len(texts)


def _common(ours: Mapping[Key, Value], theirs: Mapping[Key, Value]) -> dict[Key, tuple[Value, Value]]:
    return {key: (ours[key], theirs[key]) for key in ours if key in theirs}


def _difference(
    task: str, metric: str, test: PairedTest, items: int, pairs: Mapping[Key, tuple[bool, bool]] | None
) -> Difference:
    low, high = np.percentile(test.changes, [2.5, 97.5])
    return Difference(
        task=task,
        metric=metric,
        items=items,
        first=test.first,
        second=test.second,
        change=test.second - test.first,
        low=float(low),
        high=float(high),
        gained=None if pairs is None else sum(second and not first for first, second in pairs.values()),
        lost=None if pairs is None else sum(first and not second for first, second in pairs.values()),
        p_value=test.p_value,
    )


def _mean_of_languages(
    root: str, metric: str, tests: Mapping[str, tuple[str, PairedTest, int]]
) -> Iterator[Difference]:
    """Yield the mean over the languages of a dataset, each with the same weight; nothing where there is one."""
    by_language: dict[str, list[PairedTest]] = defaultdict(list)
    for language, test, _ in tests.values():
        by_language[language].append(test)
    if len(by_language) < 2:
        return
    first, second = (
        float(np.mean([np.mean([getattr(test, side) for test in found]) for found in by_language.values()]))
        for side in ("first", "second")
    )
    changes = np.mean([np.mean([test.changes for test in found], axis=0) for found in by_language.values()], axis=0)
    low, high = np.percentile(changes, [2.5, 97.5])
    items = sum(count for _, _, count in tests.values())
    name = f"{root}, mean of {len(by_language)} languages"
    yield Difference(name, metric, items, first, second, second - first, float(low), float(high))


def _read(folder: Path) -> dict[str, _Answers]:
    """Return what a folder holds of each task."""
    files = item_files(folder)
    if not files:
        raise no_results(folder, "items/*.parquet")
    found: dict[str, _Answers] = defaultdict(_Answers)
    for about, table in (job for file in files for job in file.each_job(_COLUMNS)):
        graded = [name for name in about.job.metrics if name in GRADED_METRICS]
        shared = about.job.provenance
        for item in table.to_pylist():
            answers = found[shared.task]
            answers.language = shared.language
            key = (shared.split, shared.template, item["row"])
            if item["correct"] is not None:
                answers.correct[key] = item["correct"]
            if item["error"] is None and item["text"] is not None:
                for name in graded:
                    answers.texts[name][key] = (item["text"], item["references"])
    return found


def compare_lines(differences: Iterable[Difference]) -> list[str]:
    """Return differences as lines of aligned columns: shares and F-measures in percent, BLEU and chrF as they are."""
    header = ("task", "metric", "items", "first", "second", "change", "interval", "gained", "lost", "p")
    return aligned([header, *(_cells(one) for one in differences)], numbers=range(2, len(header)))


def _cells(one: Difference) -> tuple[str, ...]:
    scale = 100.0 if one.metric == "correct" or in_percent(one.metric) else 1.0
    numbers = [f"{scale * one.first:.1f}", f"{scale * one.second:.1f}", f"{scale * one.change:+.1f}"]
    interval = f"[{scale * one.low:+.1f}, {scale * one.high:+.1f}]"
    counts = ["" if count is None else f"{count:,}" for count in (one.gained, one.lost)]
    p_value = "" if one.p_value is None else f"{one.p_value:.2g}"
    return (one.task, one.metric, f"{one.items:,}", *numbers, interval, *counts, p_value)
