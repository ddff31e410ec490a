"""How many examples of each task a sampled mixture holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xmtf.recipe.schema import Rates

__all__ = ["quotas"]


def quotas(sizes: Sequence[int], rates: Sequence[float], policy: Rates) -> list[int]:
    """Return how many examples to take of each task; none is ever taken twice.

    A task's share is ``rate * size ** (1 / temperature)``. A task that has fewer examples than its share
    gives all it has, and the others share the rest. Whole numbers by largest remainder; ties go to the
    earlier task.

    ::

        sizes                       900   90   10      10 examples wanted
        proportional                  9    1    0
        temperature 2 (30, 9.5, 3.2)  7    2    1

    Args:
        sizes: Examples that each task has, after caps and deduplication.
        rates: Relative rate of each task.
        policy: Rates of the recipe.
    """
    total = policy.max_examples
    if policy.policy == "all" or total is None or sum(sizes) <= total:
        return list(sizes)
    available = np.asarray(sizes, np.int64)
    temperature = policy.temperature if policy.policy == "temperature" else 1.0
    weights = np.asarray(rates) * available ** (1.0 / temperature)
    shares = _fill(weights, available, total)
    whole = np.minimum(np.floor(shares + 1e-9).astype(np.int64), available)
    by_remainder = np.argsort(-(shares - whole), kind="stable")
    for task in by_remainder[whole[by_remainder] < available[by_remainder]][: total - int(whole.sum())]:
        whole[task] += 1
    return [int(count) for count in whole]


def _fill(weights: npt.NDArray[np.float64], available: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.float64]:
    """Return real-valued shares that sum to ``total`` and never exceed what is available."""
    shares = np.zeros(len(weights))
    is_full = available == 0
    while True:
        left = total - available[is_full].sum()
        shares[is_full] = available[is_full]
        shares[~is_full] = left * weights[~is_full] / weights[~is_full].sum()
        overfull = ~is_full & (shares > available)
        if not overfull.any():
            return shares
        is_full |= overfull
