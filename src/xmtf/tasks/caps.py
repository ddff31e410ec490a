"""Caps: the most examples of one template on one split, and which of them stay."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["tightest", "within_cap"]


def tightest(*caps: int | None) -> int | None:
    """Return the smallest of several caps, of which None is no cap.

    >>> tightest(5, None, 3), tightest(None)
    (3, None)
    """
    return min((cap for cap in caps if cap is not None), default=None)


def within_cap(draws: npt.NDArray[np.uint64], cap: int | None) -> npt.NDArray[np.int64]:
    """Return which examples a random cap keeps, ascending: those with the smallest seeded draws.

    ::

        draws  7 2 9 4     cap 2  ->  1 3

    Args:
        draws: uint64 ``[n]``, the draw of each example.
        cap: Most examples kept; None keeps all.
    """
    if cap is None or len(draws) <= cap:
        return np.arange(len(draws))
    return np.sort(np.argpartition(draws, cap - 1)[:cap]) if cap else np.zeros(0, np.int64)
