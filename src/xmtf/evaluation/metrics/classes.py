"""What accuracy hides: which choices a model picks, whatever is asked.

::

    gold    a a a a b b        accuracy 4/6 looks like learning,
    picked  a a a a a a        but macro-F1 is 0.4: b is never picked
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xmtf.records import Metric, Picks

__all__ = ["count_picks", "macro_f1"]

_RESAMPLES = 1000
_SEED = 12345


def macro_f1(gold: Sequence[int], picked: Sequence[int], num_choices: int) -> Metric:
    """Return the mean F1 of the choices that are right or picked somewhere, with a bootstrap interval over items.

    >>> round(macro_f1([0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0], 2).value, 3)
    0.4

    Args:
        gold: Index of the right choice of each item.
        picked: Index of the choice that the model picked.
        num_choices: Number of choices.
    """
    cells = np.bincount(np.array(gold) * num_choices + np.array(picked), minlength=num_choices**2)
    random = np.random.default_rng(_SEED)
    resampled = random.multinomial(len(gold), cells / len(gold), size=_RESAMPLES)
    value = float(_macro_f1(cells[None].astype(np.float64), num_choices)[0])
    low, high = np.percentile(_macro_f1(resampled.astype(np.float64), num_choices), [2.5, 97.5])
    return Metric("macro_f1", value, min(float(low), value), max(float(high), value), None, len(gold))


def _macro_f1(cells_NC: np.ndarray, num_choices: int) -> np.ndarray:
    """Return macro-F1 of each row of counts ``[N, gold * picked]``."""
    counts_NKK = cells_NC.reshape(-1, num_choices, num_choices)
    right_NK = counts_NKK.diagonal(axis1=1, axis2=2)
    seen_NK = counts_NKK.sum(axis=1) + counts_NKK.sum(axis=2)
    f1_NK = np.divide(2 * right_NK, seen_NK, out=np.zeros_like(right_NK), where=seen_NK > 0)
    return np.asarray(f1_NK.sum(axis=1) / (seen_NK > 0).sum(axis=1))


def count_picks(
    choices: Sequence[Sequence[str]], gold: Sequence[int], picked: Sequence[int], scores: Sequence[Sequence[float]]
) -> Picks:
    """Count what was right and what was picked: by choice where all items have the same, else by position.

    Args:
        choices: Of each item.
        gold: Index of the right choice of each.
        picked: Index of the choice that the model picked.
        scores: What was compared; equal highest ones are a tie.
    """
    by_choice = len(set(map(tuple, choices))) == 1
    longest = max(map(len, choices))
    labels = tuple(choices[0]) if by_choice else tuple(str(place + 1) for place in range(longest))
    right = [one for one, other in zip(picked, gold, strict=True) if one == other]

    def count(chosen: Sequence[int]) -> tuple[int, ...]:
        return tuple(np.bincount(np.array(chosen, dtype=np.int64), minlength=longest).tolist())

    ties = sum(list(row).count(max(row)) > 1 for row in scores)
    return Picks(labels, by_choice, count(gold), count(picked), count(right), ties)
