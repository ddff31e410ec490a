"""Two models on the same items: how sure is the difference? Rows are the units, not prompts of a row.

::

    row  template  first  second          row  change of its rights
    0    a         wrong  right           0    +2
    0    b         wrong  right           1    -1
    1    a         right  wrong
    1    b         wrong  wrong

Both models' answers become counts (:mod:`xmtf.results.resampling`) and are resampled alike. Shapes: N resamples,
R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xmtf.results.estimates import Estimate, estimate_change, resampled_values, value_now
from xmtf.results.resampling import RESAMPLES, JobCounts, Resamples

__all__ = ["Models", "PairedTest", "paired_test"]

_FLIPS = 10_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Models:
    """Two models' answers to the same items, as counts of one measure.

    Attributes:
        measure: ``correct`` for right or wrong, or a graded metric.
        first: Of the first model, job by job.
        second: Of the second: the same jobs and rows in the same places.
    """

    measure: str
    first: Sequence[JobCounts]
    second: Sequence[JobCounts]

    @property
    def is_unchanged(self) -> bool:
        """Whether nobody changed an answer."""
        pairs = zip(self.first, self.second, strict=True)
        return all(np.array_equal(one.counts, other.counts) for one, other in pairs)

    def values(self) -> tuple[float, float]:
        """Return the value of each."""
        return value_now(self.measure, self.first), value_now(self.measure, self.second)

    def changes(self, resamples: Resamples) -> Floats:
        """Return second - first in every resample, ``[N]``."""
        before, after = (resampled_values(self.measure, jobs, resamples) for jobs in (self.first, self.second))
        return np.asarray(after - before)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """How two models differ on the same rows.

    Attributes:
        first: Value of the first model.
        second: Value of the second.
        change: Second - first with its interval, as reports give it.
        p_value: Two-sided: the chance of so large a difference between models that are equally good.
    """

    first: float
    second: float
    change: Estimate
    p_value: float


def paired_test(models: Models) -> PairedTest:
    """Compare two models on the same rows.

    The p-value of shares comes from exchanging the two models' answers to whole rows: exactly (McNemar's
    test) where each row is asked once, else by 10,000 random exchanges. That of BLEU and the like comes
    from the share of resamples in which the other model is ahead (Koehn 2004, two-sided).
    """
    resamples = Resamples(models.first)
    if models.measure == "correct":
        before, after = (resamples.by_row(jobs)[:, 0] for jobs in (models.first, models.second))
        p_value = _exchanged(after - before)
    else:
        changes = models.changes(resamples)
        behind = min(int((changes <= 0).sum()), int((changes >= 0).sum()))
        p_value = min(1.0, 2 * (behind + 1) / (RESAMPLES + 1))
    change = estimate_change(models.measure, models.first, models.second)
    return PairedTest(*models.values(), change, p_value)


def _fair_coin(heads: int, tosses: int) -> float:
    """Return the chance that a fair coin falls at least so unevenly: McNemar's exact test, two-sided.

    >>> _fair_coin(1, 4), _fair_coin(2, 4), round(_fair_coin(40, 100), 4)
    (0.625, 1.0, 0.0569)
    """
    fewer = min(heads, tosses - heads)
    ways = term = 1
    for drawn in range(fewer):  # each binomial coefficient from the one before it
        term = term * (tosses - drawn) // (drawn + 1)
        ways += term
    return min(1.0, float(ways / (1 << (tosses - 1))))  # whole numbers: exact, however large


def _exchanged(change_R: Floats) -> float:
    """Return the chance that exchanging the models' answers to random rows gives so large a change.

    Args:
        change_R: Rights that each row gains.
    """
    change_R = change_R[change_R != 0]
    if not len(change_R):
        return 1.0
    if np.all(np.abs(change_R) == 1.0):
        return _fair_coin(int((change_R > 0).sum()), len(change_R))
    random = np.random.default_rng(len(change_R))
    observed, reached = abs(change_R.sum()) - 1e-9, 0
    at_once = max(1, min(_FLIPS, 4_000_000 // len(change_R)))
    for start in range(0, _FLIPS, at_once):
        signs = random.integers(0, 2, (min(at_once, _FLIPS - start), len(change_R)), dtype=np.int8)
        reached += int((np.abs((2.0 * signs - 1.0) @ change_R) >= observed).sum())
    return (reached + 1) / (_FLIPS + 1)
