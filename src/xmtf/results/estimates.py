"""Values with honest intervals: Wilson's for shares of rows that are asked once, else a bootstrap over rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xmtf.intervals import wilson
from xmtf.results.measured import CORPUS, value_of
from xmtf.results.resampling import JobCounts, Resamples, total_counts

__all__ = [
    "Estimate",
    "changes_without",
    "estimate",
    "estimate_change",
    "estimates_without",
    "no_change",
    "percentiles",
    "resampled_values",
    "value_now",
]

Floats = npt.NDArray[np.float64]


class Estimate(NamedTuple):
    """A value and its 95 % interval; the ends are nan where the interval is not known."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval: for differences, a change that noise does not explain."""
        return self.low > 0 or self.high < 0


def estimate(measure: str, jobs: Sequence[JobCounts]) -> Estimate:
    """Return the value of jobs together, with rows as units.

    Means over items weigh every item the same; BLEU and chrF are means over jobs, weighted by items.

    Args:
        measure: Which, see :mod:`xmtf.results.measured`.
        jobs: Their counts, at least one item.
    """
    resamples = Resamples(jobs)
    told = _without_drawing(measure, jobs, resamples)
    return told or _around(value_now(measure, jobs), resampled_values(measure, jobs, resamples))


def estimates_without(measure: str, jobs: Sequence[JobCounts], groups: Sequence[str]) -> Iterator[tuple[str, Estimate]]:
    """Yield for each group of jobs the value of all the others; the rows are resampled once for all of them.

    Args:
        measure: Which.
        jobs: Counts of all jobs.
        groups: Group of each job, such as its template; at least two.
    """
    resamples = Resamples(jobs)
    leaving = _Leaving(measure, jobs, groups, resamples)
    for name in leaving.names:
        rest = leaving.rest(name)
        if not resamples.are_of(rest):
            yield name, estimate(measure, rest)
            continue
        told = _without_drawing(measure, rest, resamples)
        yield name, told or _around(value_now(measure, rest), leaving.values(name))


def _without_drawing(measure: str, jobs: Sequence[JobCounts], resamples: Resamples) -> Estimate | None:
    """Return the estimate where no resample is needed: a share of rows that are asked once, or answered alike."""
    value = value_now(measure, jobs)
    if measure not in CORPUS and _yes_or_no(jobs):
        counts_RK = resamples.by_row(jobs)
        right_R, asked_R = counts_RK[counts_RK[:, 1] > 0].T
        if (asked_R == 1).all() or np.ptp(right_R / asked_R) == 0:
            return Estimate(value, *wilson(value, len(asked_R)))
    return Estimate(value, math.nan, math.nan) if resamples.num_rows < 2 else None


def _around(value: float, resampled: Floats) -> Estimate:
    """Return a value with the interval of its resamples, which holds it."""
    low, high = percentiles(resampled)
    return Estimate(value, min(low, value), max(high, value))


class _Leaving:
    """Resampled values of jobs without one group of them at a time, from one pass over all.

    Args:
        measure: Which.
        jobs: Counts of all jobs.
        groups: Group of each.
        resamples: Of all their rows.
    """

    def __init__(self, measure: str, jobs: Sequence[JobCounts], groups: Sequence[str], resamples: Resamples) -> None:
        self.names = tuple(dict.fromkeys(groups))
        self._measure, self._jobs, self._groups = measure, jobs, groups
        if measure in CORPUS:
            self._values = [value_of(measure, resamples.totals([job])) for job in jobs]
            return
        totals = resamples.totals_of_groups([self._of(name, kept=True) for name in self.names])
        self._totals = dict(zip(self.names, totals, strict=True))
        self._whole = totals.sum(axis=0)

    def rest(self, name: str) -> list[JobCounts]:
        """Return the jobs of all other groups."""
        return self._of(name, kept=False)

    def values(self, name: str) -> Floats:
        """Return the value of all other groups together in every resample, ``[N]``."""
        if self._measure not in CORPUS:
            return value_of(self._measure, self._whole - self._totals[name])
        kept = [place for place, group in enumerate(self._groups) if group != name]
        weights = [len(self._jobs[place].rows) for place in kept]
        return np.asarray(np.average([self._values[place] for place in kept], axis=0, weights=weights))

    def _of(self, name: str, *, kept: bool) -> list[JobCounts]:
        return [job for job, group in zip(self._jobs, self._groups, strict=True) if (group == name) == kept]


def estimate_change(measure: str, first: Sequence[JobCounts], second: Sequence[JobCounts]) -> Estimate:
    """Return how much higher the second of two models is on the same items, resampled alike.

    Args:
        measure: Which.
        first: Counts of the first model, job by job.
        second: Those of the second: the same jobs and rows in the same places.
    """
    resamples = Resamples(first)
    told = _change_without_drawing(measure, first, second, resamples)
    if told is not None:
        return told
    changes = resampled_values(measure, second, resamples) - resampled_values(measure, first, resamples)
    return _around(value_now(measure, second) - value_now(measure, first), changes)


def changes_without(
    measure: str, first: Sequence[JobCounts], second: Sequence[JobCounts], groups: Sequence[str]
) -> Iterator[tuple[str, Estimate]]:
    """Yield for each group of jobs the change of all the others, as :func:`estimates_without` does their value."""
    resamples = Resamples(first)
    before, after = (_Leaving(measure, jobs, groups, resamples) for jobs in (first, second))
    for name in before.names:
        rest, rest_after = before.rest(name), after.rest(name)
        if not resamples.are_of(rest):
            yield name, estimate_change(measure, rest, rest_after)
            continue
        told = _change_without_drawing(measure, rest, rest_after, resamples)
        change = value_now(measure, rest_after) - value_now(measure, rest)
        yield name, told or _around(change, after.values(name) - before.values(name))


def no_change(measure: str, jobs: Sequence[JobCounts]) -> Estimate:
    """Return the change where nobody changed an answer: one change in so many rows may still hide.

    Args:
        measure: Which.
        jobs: Counts of one of the models.
    """
    bound = wilson(0.0, Resamples(jobs).num_rows)[1] if measure not in CORPUS and _yes_or_no(jobs) else 0.0
    return Estimate(0.0, -bound, bound)


def _change_without_drawing(
    measure: str, first: Sequence[JobCounts], second: Sequence[JobCounts], resamples: Resamples
) -> Estimate | None:
    if all(np.array_equal(one.counts, other.counts) for one, other in zip(first, second, strict=True)):
        return no_change(measure, first)
    if resamples.num_rows < 2:
        return Estimate(value_now(measure, second) - value_now(measure, first), -math.inf, math.inf)
    return None


def value_now(measure: str, jobs: Sequence[JobCounts]) -> float:
    """Return the value of jobs together, as they are."""
    if measure not in CORPUS:
        return float(value_of(measure, total_counts(jobs)[None])[0])
    values = [value_of(measure, job.counts.sum(axis=0)[None])[0] for job in jobs]
    return float(np.average(values, weights=[len(job.rows) for job in jobs]))


def resampled_values(measure: str, jobs: Sequence[JobCounts], resamples: Resamples) -> Floats:
    """Return the value of jobs together in every resample, ``[N]``."""
    if measure not in CORPUS:
        return value_of(measure, resamples.totals(jobs))
    values = [value_of(measure, resamples.totals([job])) for job in jobs]
    averages: Floats = np.average(values, axis=0, weights=[len(job.rows) for job in jobs])
    return averages


def percentiles(values: Floats) -> tuple[float, float]:
    """Return the ends of the central 95 % of resampled values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _yes_or_no(jobs: Sequence[JobCounts]) -> bool:
    return all(bool(np.isin(job.counts[:, 0], (0.0, 1.0)).all()) for job in jobs)
