"""Intervals of 95 %: Wilson's for shares, the percentile bootstrap for means."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["bootstrap_mean", "wilson"]

_Z = 1.959963984540054
_RESAMPLES = 1000
_SEED = 12345


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """Return Wilson's score interval of a share, both ends in 0-1.

    >>> [round(end, 4) for end in wilson(50, 100)]
    [0.4038, 0.5962]

    Source: Wilson 1927, without continuity correction.
    """
    if trials < 1:
        raise ValueError("an interval needs at least one trial")
    share = successes / trials
    scale = 1 + _Z**2 / trials
    middle = (share + _Z**2 / (2 * trials)) / scale
    half = _Z * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_mean(values: Sequence[float]) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a mean: 1,000 seeded resamples.

    >>> bootstrap_mean([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(_SEED)
    # 1,000 x n indices at once would be large for long lists: draw the means a block at a time.
    block = max(1, 2_000_000 // len(sample))
    means = [
        sample[random.integers(0, len(sample), size=(min(block, _RESAMPLES - start), len(sample)))].mean(axis=1)
        for start in range(0, _RESAMPLES, block)
    ]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)
