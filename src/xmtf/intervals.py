"""Intervals of 95 %: Wilson's for shares, the percentile bootstrap for means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["Z", "bootstrap_mean", "bootstrap_ratio", "wilson"]

Z = 1.959963984540054
"""Standard errors between the middle of a normal distribution and the ends of its central 95 %."""
_RESAMPLES = 1000
_SEED = 12345


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share of independent trials, both ends in 0-1.

    >>> [round(end, 4) for end in wilson(0.5, 100)]
    [0.4038, 0.5962]

    Source: Wilson 1927, without continuity correction.
    """
    if trials < 1:
        raise ValueError("an interval needs at least one trial")
    scale = 1 + Z**2 / trials
    middle = (share + Z**2 / (2 * trials)) / scale
    half = Z * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean: 1,000 seeded resamples.

    >>> bootstrap_mean([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    return bootstrap_ratio([(value, 1.0) for value in values])


def bootstrap_ratio(counts: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a sum divided by another, over items that have both.

    >>> bootstrap_ratio([(1, 2), (2, 4)])
    (0.5, 0.5)

    Args:
        counts: Of each item what is counted, and out of how many; these are not all 0.
    """
    sample = np.asarray(counts, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    # 1,000 x n indices at once would be large for long lists: draw the sums a block at a time.
    block = max(1, 2_000_000 // len(sample))
    sums = [
        sample[random.integers(0, len(sample), size=(min(block, _RESAMPLES - start), len(sample)))].sum(axis=1)
        for start in range(0, _RESAMPLES, block)
    ]
    counted, of = np.concatenate(sums).T
    low, high = np.percentile(counted / of, [2.5, 97.5])
    return float(low), float(high)
