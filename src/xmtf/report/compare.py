"""Models side by side: every suite's figures with intervals, chance and whether a change is real."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from xmtf.intervals import Z, wilson
from xmtf.records import Metric, Score
from xmtf.report.estimates import Estimate, clustered_mean
from xmtf.report.results import Results

__all__ = ["Comparison", "compare", "verdict"]

PER_ITEM = ("accuracy", "exact_match", "numeric_match")
"""Metrics that are a mean of rights and wrongs, so that intervals come from the items themselves."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group of results, a value for each model.

    Attributes:
        suite: Evaluation suite.
        axis: What is held out.
        group: What was grouped by inside the suite, such as a cluster or language; ``""`` for the whole suite.
        metric: Name of the metric.
        num_items: Items behind the last value.
        other_items: Items behind other values, where they are not as many: then suites of one name differ.
        chance: Expected value of guessing, averaged over items, or None.
        values: Label -> value with interval, or None where it was not measured.
        change: Paired difference between the last and the first label with interval, where there are two.
    """

    suite: str
    axis: str
    group: str
    metric: str
    num_items: int
    other_items: tuple[int, ...]
    chance: float | None
    values: dict[str, Estimate | None]
    change: Estimate | None

    @property
    def items_text(self) -> str:
        """The number of items in figures; several numbers say that not every model was asked the same."""
        return " / ".join(f"{count:,}" for count in (self.num_items, *self.other_items))

    @property
    def first(self) -> Estimate | None:
        """The value of the first label: the model before training, in a run."""
        return next(iter(self.values.values()))

    @property
    def last(self) -> Estimate | None:
        """The value of the last label: the model after training, in a run."""
        return next(reversed(self.values.values()))


def compare(results: Results, by: Callable[[Score], str] = lambda score: "") -> list[Comparison]:
    """Group every suite's results and set the labels side by side.

    Args:
        results: What was measured.
        by: Names the group of a result record inside its suite; the whole suite by default.
    """
    groups: dict[tuple[str, str, str, str], dict[str, list[tuple[Score, Metric]]]] = {}
    for label, scores in results.scores.items():
        for score in scores:
            for metric in score.metrics:
                key = (score.suite, score.axis, by(score), metric.name)
                groups.setdefault(key, defaultdict(list))[label].append((score, metric))
    answers = {label: _answers(table) for label, table in results.items.items()}
    return [_comparison(*key, members, answers, list(results.scores)) for key, members in groups.items()]


def verdict(comparison: Comparison) -> str:
    """Say in a few words what a comparison shows.

    ``above chance`` needs the whole interval above the chance line; a change counts when its interval
    excludes zero.
    """
    if comparison.last is None:
        return "not measured"
    words = []
    if comparison.change is not None:
        rose = "rises" if comparison.change.value > 0 else "falls"
        words.append(rose if comparison.change.excludes_zero else "no measurable change")
    if comparison.chance is not None:
        if comparison.last.low > comparison.chance:
            words.append("above chance")
        elif comparison.last.high < comparison.chance:
            words.append("below chance")
        else:
            words.append("at chance")
    return ", ".join(words)


Job = tuple[str, str, str, str]
Answers = dict[Job, dict[int, float]]
Members = list[tuple[Score, Metric]]


def _answers(table: pa.Table) -> Answers:
    """Return (suite, task, split, template) -> row -> 1 or 0 for right or wrong; unscored items are left out."""
    answers: Answers = defaultdict(dict)
    if not table.num_rows:
        return answers
    for item in table.select(["suite", "task", "split", "template", "row", "correct"]).to_pylist():
        if item["correct"] is not None:
            job = (item["suite"], item["task"], item["split"], item["template"])
            answers[job][item["row"]] = float(item["correct"])
    return answers


def _comparison(
    suite: str,
    axis: str,
    group: str,
    metric: str,
    members: dict[str, Members],
    answers: dict[str, Answers],
    labels: list[str],
) -> Comparison:
    latest = members[next(label for label in reversed(labels) if label in members)]
    num_items = sum(entry.num_items for _, entry in latest)
    counts = {sum(entry.num_items for _, entry in member) for member in members.values()}
    others = tuple(sorted(counts - {num_items}))
    values = {
        label: (_per_item(members[label], answers[label]) if metric in PER_ITEM else _corpus(members[label]))
        if label in members
        else None
        for label in labels
    }
    change = None
    if metric in PER_ITEM and len(labels) == 2 and members.keys() == set(labels):
        change = _paired(members[labels[1]], answers[labels[0]], answers[labels[1]])
    return Comparison(suite, axis, group, metric, num_items, others, _chance(latest), values, change)


def _chance(members: Members) -> float | None:
    weighted = [(entry.chance, entry.num_items) for _, entry in members if entry.chance is not None]
    total = sum(count for _, count in weighted)
    return sum(chance * count for chance, count in weighted) / total if total else None


def _jobs(members: Members) -> Iterable[Job]:
    return (
        (score.suite, score.provenance.task, score.provenance.split, score.provenance.template) for score, _ in members
    )


def _per_item(members: Members, answers: Answers) -> Estimate | None:
    values = {(job, row): value for job in _jobs(members) for row, value in answers.get(job, {}).items()}
    estimate = _estimate(values)
    if estimate is None:
        return None
    return Estimate(estimate.value, max(0.0, estimate.low), min(1.0, estimate.high))  # a share stays a share


def _paired(members: Members, before: Answers, after: Answers) -> Estimate | None:
    differences = {
        (job, row): value - before[job][row]
        for job in _jobs(members)
        if job in before
        for row, value in after.get(job, {}).items()
        if row in before[job]
    }
    if differences and not any(differences.values()):  # nobody changed an answer: a change of 1/n may still hide
        _, bound = wilson(0.0, len({(job[1:3], row) for job, row in differences}))
        return Estimate(0.0, -bound, bound)
    return _estimate(differences)


def _estimate(values: dict[tuple[Job, int], float]) -> Estimate | None:
    if not values:
        return None
    rows = {key: index for index, key in enumerate(dict.fromkeys((job[1:3], row) for job, row in values))}
    clusters = np.array([rows[job[1:3], row] for job, row in values], dtype=np.int64)
    return clustered_mean(np.array(list(values.values())), clusters)


def _corpus(members: Members) -> Estimate | None:
    """Average a corpus metric over its results, weighted by items; tasks are the units of the interval."""
    counts = np.array([entry.num_items for _, entry in members], dtype=np.float64)
    if not counts.sum():
        return None
    values = np.array([entry.value for _, entry in members])
    mean = float((values * counts).sum() / counts.sum())
    if len(members) < 2:
        entry = members[0][1]
        return Estimate(mean, *(mean if end is None else end for end in (entry.low, entry.high)))
    weights = counts / counts.sum()
    variance = float((weights**2 * (values - mean) ** 2).sum()) * len(members) / (len(members) - 1)
    margin = Z * variance**0.5
    return Estimate(mean, mean - margin, mean + margin)
