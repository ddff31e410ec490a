"""Means with honest intervals.

Several templates ask about the same row, so answers come in groups that stand and fall together.
Treating them as independent would make intervals too narrow; here the row is the unit: the standard
error is that of a ratio estimator over rows (linearised, as in survey statistics: Cochran 1977, 6.4).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from xmtf.intervals import Z, wilson

__all__ = ["Estimate", "clustered_mean"]


class Estimate(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval: for differences, a change that noise does not explain."""
        return self.low > 0 or self.high < 0


def clustered_mean(values: npt.NDArray[np.float64], clusters: npt.NDArray[np.int64]) -> Estimate:
    """Return the mean of ``values`` with an interval that takes whole clusters as units.

    ::

        values    1 1 0 0 1 1      three rows asked twice: mean 4/6,
        clusters  0 0 1 1 2 2      but only three independent rows

    Args:
        values: ``[n]`` measured values, such as 1 for right and 0 for wrong, or differences.
        clusters: ``[n]`` index of the row that each value belongs to.

    Raises:
        ValueError: No values.
    """
    if len(values) == 0:
        raise ValueError("no values to average")
    _, index = np.unique(clusters, return_inverse=True)
    sums = np.bincount(index, weights=values)
    counts = np.bincount(index)
    mean = float(values.mean())
    num_clusters = len(counts)
    residuals = sums - mean * counts
    if num_clusters < 2 or not residuals.any():
        if ((values == 0) | (values == 1)).all():
            return Estimate(mean, *wilson(mean, num_clusters))  # all right, all wrong, or alike in every row
        return Estimate(mean, mean, mean) if num_clusters > 1 else Estimate(mean, -math.inf, math.inf)
    variance = float((residuals**2).sum()) / len(values) ** 2 * num_clusters / (num_clusters - 1)
    margin = Z * math.sqrt(variance)
    return Estimate(mean, mean - margin, mean + margin)
