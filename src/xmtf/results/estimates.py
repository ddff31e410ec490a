"""Values with honest intervals: Wilson's for shares of rows that are asked once, else a bootstrap over rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xmtf.intervals import wilson
from xmtf.results.measured import CORPUS, value_of
from xmtf.results.resampling import JobCounts, Resamples, total_counts

__all__ = ["Estimate", "estimate", "estimate_change", "percentiles", "resampled_values", "value_now"]

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
    value = value_now(measure, jobs)
    if measure not in CORPUS and _yes_or_no(jobs):
        counts_RK = resamples.by_row(jobs)
        right_R, asked_R = counts_RK[counts_RK[:, 1] > 0].T
        if (asked_R == 1).all() or np.ptp(right_R / asked_R) == 0:
            return Estimate(value, *wilson(value, len(asked_R)))
    if resamples.num_rows < 2:
        return Estimate(value, math.nan, math.nan)
    low, high = percentiles(resampled_values(measure, jobs, resamples))
    return Estimate(value, min(low, value), max(high, value))


def estimate_change(measure: str, first: Sequence[JobCounts], second: Sequence[JobCounts]) -> Estimate:
    """Return how much higher the second of two models is on the same items, resampled alike.

    Args:
        measure: Which.
        first: Counts of the first model, job by job.
        second: Those of the second: the same jobs and rows in the same places.
    """
    change = value_now(measure, second) - value_now(measure, first)
    resamples = Resamples(first)
    if all(np.array_equal(one.counts, other.counts) for one, other in zip(first, second, strict=True)):
        # Nobody changed an answer: a change of one row in so many may still hide.
        bound = wilson(0.0, resamples.num_rows)[1] if measure not in CORPUS and _yes_or_no(first) else 0.0
        return Estimate(0.0, -bound, bound)
    if resamples.num_rows < 2:
        return Estimate(change, -math.inf, math.inf)
    changes = resampled_values(measure, second, resamples) - resampled_values(measure, first, resamples)
    low, high = percentiles(changes)
    return Estimate(change, min(low, change), max(high, change))


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
