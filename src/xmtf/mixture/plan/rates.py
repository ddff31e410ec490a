"""How many examples of each task a sampled mixture holds."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from xmtf.errors import UnknownNameError
from xmtf.recipe.schema import Rates

__all__ = ["explicit_rates", "quotas", "shares"]


def shares(units: Sequence[tuple[str, str]], sizes: Sequence[int], rates: Sequence[float], policy: Rates) -> list[int]:
    """Return how many examples to take of each task in each language; none is ever taken twice.

    Quotas of languages come first; then the policy shares out what they leave, among all units or among languages.

    ::

        units                     fr a  fr b  sw a      sizes 60 30 10
        languages: {fr: 30}         20    10    10
        by: language, 20 wanted      7     3    10      equal shares (temperature 1000) of fr and sw

    Args:
        units: (language, task) of each.
        sizes: Examples of each, after caps and deduplication.
        rates: Relative rate of each.
        policy: Rates of the recipe.
    """
    languages = [language for language, _ in units]
    left = list(sizes)
    for language in dict.fromkeys(languages):
        most = next((n for pattern, n in (policy.languages or {}).items() if fnmatchcase(language, pattern)), None)
        if most is not None:
            _share_out(left, [at for at, each in enumerate(languages) if each == language], rates, most)
    if policy.by == "task":
        return quotas(left, rates, policy)
    members = {name: [at for at, each in enumerate(languages) if each == name] for name in dict.fromkeys(languages)}
    wanted = quotas([sum(left[at] for at in places) for places in members.values()], [1.0] * len(members), policy)
    for places, most in zip(members.values(), wanted, strict=True):
        _share_out(left, places, rates, most)
    return left


def _share_out(sizes: list[int], places: Sequence[int], rates: Sequence[float], most: int) -> None:
    """Lower the sizes at some places to a sum of ``most`` at most, by size and rate."""
    by_size = Rates(policy="proportional", max_examples=most)
    found = quotas([sizes[at] for at in places], [rates[at] for at in places], by_size)
    for at, size in zip(places, found, strict=True):
        sizes[at] = size


def quotas(sizes: Sequence[int], rates: Sequence[float], policy: Rates) -> list[int]:
    """Return how many examples to take of each task; none is ever taken twice.

    A task's share is its rate times what the policy makes of its size. A task that has fewer examples than
    its share gives all it has, and the others share the rest. Whole numbers by largest remainder; ties go to
    the earlier task.

    ::

        sizes                       900   90   10      10 examples wanted
        proportional                  9    1    0
        capped at 90 (90, 90, 10)     5    5    0
        temperature 2 (30, 9.5, 3.2)  7    2    1
        explicit 5, 3, 2              5    3    2

    Args:
        sizes: Examples that each task has, after caps and deduplication.
        rates: Relative rate of each task; for policy ``explicit`` times :func:`explicit_rates`.
        policy: Rates of the recipe.
    """
    total = policy.max_examples
    if policy.policy == "all" or total is None or sum(sizes) <= total:
        return list(sizes)
    available = np.asarray(sizes, np.int64)
    weights = np.asarray(rates, np.float64) * _counted_sizes(available, policy)
    shares = _fill(weights, available, total)
    whole = np.minimum(np.floor(shares + 1e-9).astype(np.int64), available)
    by_remainder = np.argsort(-(shares - whole), kind="stable")
    for task in by_remainder[whole[by_remainder] < available[by_remainder]][: total - int(whole.sum())]:
        whole[task] += 1
    return [int(count) for count in whole]


def explicit_rates(tasks: Sequence[str], policy: Rates) -> list[float]:
    """Return the number that the recipe gives each task: that of the first pattern that matches, else 1.

    >>> explicit_rates(["xnli/fr", "gsm8k"], Rates(policy="explicit", max_examples=9, tasks={"xnli/*": 3.0}))
    [3.0, 1.0]

    Raises:
        UnknownNameError: A pattern matches no task.
    """
    numbers = policy.tasks or {}
    for pattern in numbers:
        if not any(fnmatchcase(task, pattern) for task in tasks):
            raise UnknownNameError("task", pattern, sorted(set(tasks)), "mixture.rates.tasks")
    return [next((numbers[p] for p in numbers if fnmatchcase(task, p)), 1.0) for task in tasks]


def _counted_sizes(sizes: npt.NDArray[np.int64], policy: Rates) -> npt.NDArray[np.float64]:
    """Return the sizes as the policy counts them, float64 ``[tasks]``."""
    if policy.policy == "explicit":
        return np.ones(len(sizes))
    counted = np.minimum(sizes, policy.size_cap) if policy.size_cap is not None else sizes
    return np.asarray(counted ** (1.0 / policy.temperature), np.float64)


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
