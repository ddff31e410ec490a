"""Models side by side: every suite's figures with intervals, chance and whether a change is real."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np

from xmtf.errors import ConfigError
from xmtf.records import BESIDE_ACCURACY, CALIBRATED, IN_LANGUAGE, Metric, Score
from xmtf.report.comparison.beside import Beside, beside
from xmtf.report.comparison.language_groups import grouping_by_training, language_group
from xmtf.report.comparison.results import Counts, Job, Results, job_of
from xmtf.report.comparison.seen import Parts, parts
from xmtf.results.estimates import Estimate, changes_without, estimate, estimate_change, estimates_without
from xmtf.results.overlap import Overlap
from xmtf.results.resampling import JobCounts

__all__ = ["GROUPINGS", "Comparison", "Trend", "compare", "compared", "paired_counts", "verdict"]

Trend = Literal["up", "down", "flat"]
Members = Sequence[tuple[Score, Metric]]


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
        majority: Value of always giving each job's most frequent right choice, averaged over items, or None.
        alongside: Label -> what is next to its value.
        parts: Label -> its value apart for clean and seen items; nothing where nobody searched for them.
        doubt: Why a change that its interval allows is none to build on, or ``""``.
        lone_template: The one template without which the last value is not above chance, or ``""``.
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
    majority: float | None = None
    beside: Mapping[str, Beside] = field(default_factory=dict)
    parts: Mapping[str, Parts] = field(default_factory=dict)
    doubt: str = ""
    lone_template: str = ""

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

    @property
    def trend(self) -> Trend:
        """Whether the change is real: its interval excludes zero, and there is no doubt about it."""
        if self.change is None or not self.change.excludes_zero or self.doubt:
            return "flat"
        return "up" if self.change.value > 0 else "down"

    def is_above_chance(self, label: str) -> bool:
        """Return whether a model's whole interval lies above chance and above the most frequent answer."""
        value = self.values[label]
        return value is not None and self.chance is not None and value.low > max(self.chance, self.majority or 0.0)


def compare(results: Results, by: Callable[[Score], str] = lambda score: "") -> list[Comparison]:
    """Group every suite's results and set the labels side by side.

    Args:
        results: What was measured.
        by: Names the group of a result record inside its suite; the whole suite by default.

    Raises:
        ConfigError: A metric was computed in different ways.
    """
    _check_signatures(results)
    labels = list(results.scores)
    return [_comparison(*key, members, results, labels) for key, members in _groups(results, by).items()]


def paired_counts(results: Results, comparison: Comparison) -> tuple[list[JobCounts], list[JobCounts]]:
    """Return the counts of a whole suite's metric of the first and the last model, on the rows that both were asked.

    Args:
        results: What was measured.
        comparison: Of a whole suite in them.
    """
    key = (comparison.suite, comparison.axis, "", comparison.metric)
    labels = list(results.scores)
    ends = [labels[0], labels[-1]]
    return _sides(_pairs(comparison.metric, _groups(results, GROUPINGS[""])[key], results.counts, ends))


def _groups(
    results: Results, by: Callable[[Score], str]
) -> dict[tuple[str, str, str, str], dict[str, list[tuple[Score, Metric]]]]:
    """Return (suite, axis, group, metric) -> label -> its results."""
    groups: dict[tuple[str, str, str, str], dict[str, list[tuple[Score, Metric]]]] = {}
    for label, scores in results.scores.items():
        for score in scores:
            for metric in score.metrics:
                if metric.name not in BESIDE_ACCURACY:
                    # what is asked in a chat form is another measurement: it has a row of its own
                    suite = f"{score.suite} (chat)" if score.computed.get("chat") else score.suite
                    key = (suite, score.axis, by(score), metric.name)
                    groups.setdefault(key, defaultdict(list))[label].append((score, metric))
    return groups


GROUPINGS: dict[str, Callable[[Score], str]] = {
    "": lambda score: "",
    "cluster": lambda score: score.provenance.cluster,
    "task": lambda score: score.provenance.task.split("/")[0],
    "language": lambda score: score.provenance.language,
    "template": lambda score: score.provenance.template,
    "family": lambda score: language_group("family", score),
    "script": lambda score: language_group("script", score),
    "resources": lambda score: language_group("resources", score),
}
"""What results are grouped by inside each suite -> the group of a result record; nothing for the whole suite."""


def compared(results: Results, by: str = "") -> list[Comparison]:
    """Compare results by one of ``GROUPINGS``; once, however many tables, figures and cards show it.

    Args:
        results: What was measured; does not change any more.
        by: Such as ``language``; also ``training``, where the mixture that was trained on is available.
    """
    if by not in results.compared:
        grouping = grouping_by_training(results.trained) if by == "training" else GROUPINGS[by]
        results.compared[by] = compare(results, grouping)
    return cast("list[Comparison]", results.compared[by])


def _check_signatures(results: Results) -> None:
    """Refuse metrics of one job that mean different things for different models."""
    found: dict[tuple[Job, str], tuple[str, str]] = {}
    for label, scores in results.scores.items():
        for score in scores:
            for metric in score.metrics:
                other, signature = found.setdefault((job_of(score), metric.name), (label, metric.signature))
                if signature != metric.signature:
                    raise ConfigError(
                        f"{metric.name} of {score.provenance.task} was computed in different ways: {signature or '-'} "
                        f"({other}), {metric.signature or '-'} ({label}); recompute one with `xmtf evaluate rescore "
                        "RESULTS --out RESULTS/scores.jsonl`"
                    )


def verdict(comparison: Comparison) -> str:
    """Describe in a few words what a comparison shows.

    ``above chance`` needs the whole interval above the chance line and above what the most frequent answer gives, with
    every single template left out where there are several; a change counts when its interval excludes zero, and the
    words say when it is one template's or a shift of picks.
    """
    if comparison.last is None:
        return "not measured"
    words = []
    if comparison.change is not None:
        rose = "rises" if comparison.change.value > 0 else "falls"
        doubt = f" {comparison.doubt}" if comparison.doubt else ""
        words.append(f"{rose}{doubt}" if comparison.change.excludes_zero else "no measurable change")
    if comparison.chance is not None:
        words.append(_place(comparison, comparison.last, comparison.chance))
    return ", ".join(words)


def _place(comparison: Comparison, last: Estimate, chance: float) -> str:
    if last.high < chance:
        return "below chance"
    if not last.low > chance:
        return "at chance"
    if comparison.majority is not None and not last.low > comparison.majority:
        return "no better than the most frequent answer"
    if comparison.lone_template:
        return f"above chance with one template only ({comparison.lone_template})"
    return "above chance"


def _comparison(
    suite: str,
    axis: str,
    group: str,
    metric: str,
    members: Mapping[str, Members],
    results: Results,
    labels: list[str],
) -> Comparison:
    counts = results.counts
    last = next(label for label in reversed(labels) if label in members)
    latest = members[last]
    num_items = sum(entry.num_items for _, entry in latest)
    others = {sum(entry.num_items for _, entry in member) for member in members.values()} - {num_items}
    values = {
        label: _estimate(metric, members[label], counts.get(label, {})) if label in members else None
        for label in labels
    }
    change, doubt = None, ""
    if len(labels) == 2 and members.keys() == set(labels):
        change, doubt = _change(metric, members, counts, labels)
    chance, majority = (_weighted(latest, name) for name in ("chance", "majority"))
    return Comparison(
        suite=suite,
        axis=axis,
        group=group,
        metric=metric,
        num_items=num_items,
        other_items=tuple(sorted(others)),
        chance=chance,
        values=values,
        change=change,
        majority=majority,
        beside={label: _beside(member, counts.get(label, {})) for label, member in members.items()},
        parts=_parts(metric, members, counts, results.overlap),
        doubt=doubt,
        lone_template=_lone_above(metric, latest, counts.get(last, {})),
    )


def _beside(members: Members, counts: Counts) -> Beside:
    """Return what is next to the value of one model."""
    jobs = [counts.get(job_of(score), {}) for score, _ in members]
    return beside(
        members,
        {name: {n: job[name] for n, job in enumerate(jobs) if name in job} for name in (CALIBRATED, IN_LANGUAGE)},
    )


def _parts(
    metric: str, members: Mapping[str, Members], counts: Mapping[str, Counts], overlap: Overlap | None
) -> dict[str, Parts]:
    """Return each model's value apart for clean and seen items, where every one of them was searched for."""
    if overlap is None:
        return {}
    jobs = {label: _jobs(metric, member, counts.get(label, {})) for label, member in members.items()}
    found = {
        label: parts(metric, each, overlap)
        for label, each in jobs.items()
        if len(each) == len({job_of(score) for score, _ in members[label]})
    }
    return {label: one for label, one in found.items() if one is not None}


def _weighted(members: Members, name: str) -> float | None:
    """Return the mean over items of what each metric says; None where one says nothing."""
    told = [(getattr(entry, name), entry.num_items) for _, entry in members]
    total = sum(count for _, count in told)
    if not total or any(value is None for value, _ in told):
        return None
    return float(sum(value * count for value, count in told) / total)


def _jobs(metric: str, members: Members, counts: Counts) -> dict[Job, JobCounts]:
    """Return the counts of each job that its items hold."""
    jobs = {job_of(score): counts.get(job_of(score), {}).get(metric) for score, _ in members}
    return {job: found for job, found in jobs.items() if found is not None}


def _estimate(metric: str, members: Members, counts: Counts) -> Estimate | None:
    jobs = _jobs(metric, members, counts)
    if jobs and len(jobs) == len({job_of(score) for score, _ in members}):
        return estimate(metric, list(jobs.values()))
    return _without_items(members)


def _without_items(members: Members) -> Estimate | None:
    """Return the mean over results, weighted by items; its interval is that of results which err alike.

    What the results of other harnesses tell is a value and its own interval; how they err together is not known, so
    the widest that it can be is given.
    """
    weights = np.array([entry.num_items for _, entry in members], dtype=np.float64)
    if not weights.sum():
        return None

    def mean(values: Iterable[float | None]) -> float:
        return float(np.average([np.nan if value is None else value for value in values], weights=weights))

    return Estimate(*(mean(getattr(entry, name) for _, entry in members) for name in ("value", "low", "high")))


def _change(
    metric: str, members: Mapping[str, Members], counts: Mapping[str, Counts], labels: Sequence[str]
) -> tuple[Estimate | None, str]:
    """Return the paired change from the first label to the last, and why it is none to build on."""
    pairs = _pairs(metric, members, counts, labels)
    if not pairs:
        return None, ""
    change = _estimate_change(metric, pairs)
    if not change.excludes_zero:
        return change, ""
    return change, _doubt(metric, change, pairs, [counts.get(label, {}) for label in labels])


Pairs = Mapping[Job, tuple[JobCounts, JobCounts]]


def _pairs(
    metric: str, members: Mapping[str, Members], counts: Mapping[str, Counts], labels: Sequence[str]
) -> dict[Job, tuple[JobCounts, JobCounts]]:
    """Return the counts of two models on the jobs and rows that both were asked."""
    prompts = [{job_of(score): score.hashes.get("prompts") for score, _ in members[label]} for label in labels]
    before, after = (_jobs(metric, members[label], counts.get(label, {})) for label in labels)
    return dict(_common(before, after, prompts[0], prompts[1]))


def _common(
    before: Mapping[Job, JobCounts],
    after: Mapping[Job, JobCounts],
    asked_before: Mapping[Job, str | None],
    asked_after: Mapping[Job, str | None],
) -> Iterator[tuple[Job, tuple[JobCounts, JobCounts]]]:
    """Yield the counts of the rows that both were asked; jobs with other prompts on the same rows are left out."""
    for job in (job for job in after if job in before):
        first, second = before[job], after[job]
        if np.array_equal(first.rows, second.rows):
            if asked_before.get(job) == asked_after.get(job):
                yield job, (first, second)
            continue
        rows, ours, theirs = np.intersect1d(first.rows, second.rows, return_indices=True)
        if len(rows):
            yield (
                job,
                tuple(  # type: ignore[misc]  # two of them
                    JobCounts(one.rows_of, rows, one.counts[places])
                    for one, places in ((first, ours), (second, theirs))
                ),
            )


def _estimate_change(metric: str, pairs: Pairs) -> Estimate:
    return estimate_change(metric, *_sides(pairs))


def _sides(pairs: Pairs) -> tuple[list[JobCounts], list[JobCounts]]:
    return [first for first, _ in pairs.values()], [second for _, second in pairs.values()]


def _doubt(metric: str, change: Estimate, pairs: Pairs, counts: Sequence[Counts]) -> str:
    """Report why a change is none to build on: one template alone makes it, or only the picks have shifted."""
    templates = [template for _, _, _, template in pairs]
    if len(set(templates)) > 1:
        for name, rest in changes_without(metric, *_sides(pairs), templates):
            if not _is_like(rest, change):
                return f"with one template only ({name})"
    if metric != "accuracy":
        return ""
    calibrated = {
        job: (counts[0][job][CALIBRATED], counts[1][job][CALIBRATED])
        for job in pairs
        if all(CALIBRATED in side.get(job, {}) for side in counts)
    }
    same = {job: pair for job, pair in calibrated.items() if np.array_equal(pair[0].rows, pair[1].rows)}
    shifted = len(same) == len(pairs) and not _is_like(_estimate_change(CALIBRATED, same), change)
    return "by a shift of picks" if shifted else ""


def _is_like(other: Estimate, change: Estimate) -> bool:
    """Return whether other items change the same way, noise excluded."""
    return other.excludes_zero and (other.value > 0) == (change.value > 0)


def _lone_above(metric: str, members: Members, counts: Counts) -> str:
    """Return the template without which the value is not above its baseline, where it is with it; else ``""``."""
    jobs = _jobs(metric, members, counts)
    templates = [score.provenance.template for score, _ in members]
    if len(set(templates)) < 2 or len(jobs) != len(members):
        return ""
    if not _is_above(_estimate(metric, members, counts), members):
        return ""
    for name, rest in estimates_without(metric, list(jobs.values()), templates):
        if not _is_above(rest, [one for one in members if one[0].provenance.template != name]):
            return name
    return ""


def _is_above(value: Estimate | None, members: Members) -> bool:
    chance, majority = (_weighted(members, name) for name in ("chance", "majority"))
    return chance is not None and value is not None and value.low > max(chance, majority or 0.0)
