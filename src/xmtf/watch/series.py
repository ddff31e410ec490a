"""Numbers over steps: added as they come, cut back where training resumed earlier, thinned before they are drawn."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_POINTS", "Curve", "Series", "rounded"]

MOST_POINTS = 240
"""Points of a curve; a figure has about three pixels for each."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A series as it is drawn.

    Attributes:
        x: Steps; of thinned points the last of each range of steps.
        y: Values, or means of the finite values of a range; None where there is none that is finite.
        low: Least value of each range; nothing where no point was thinned.
        high: Greatest value of each range.
        bad: Steps with values that are not finite, the last of each range.
    """

    x: list[int]
    y: list[float | None]
    low: list[float | None] = field(default_factory=list)
    high: list[float | None] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Series:
    """Values at rising steps."""

    steps: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def last_step(self) -> int:
        """Step of the last value; -1 where there is none."""
        return self.steps[-1] if self.steps else -1

    def add(self, step: int, value: float) -> None:
        """Add a value; what is at this step or later was measured before and gives way."""
        if self.last_step >= step:
            self.keep_before(step)
        self.steps.append(step)
        self.values.append(value)

    def keep_before(self, step: int) -> None:
        """Drop values at ``step`` and later."""
        self._cut(bisect_left(self.steps, step))

    def keep_up_to(self, step: int) -> None:
        """Drop values later than ``step``."""
        self._cut(bisect_right(self.steps, step))

    def _cut(self, length: int) -> None:
        del self.steps[length:]
        del self.values[length:]

    def curve(self, most: int = MOST_POINTS) -> Curve:
        """Return what is drawn: all points, or those of ``most`` equal ranges of steps."""
        steps, values = np.array(self.steps, np.int64), np.array(self.values, np.float64)
        finite = np.isfinite(values)
        if len(steps) <= most:
            return Curve(steps.tolist(), _listed(values), bad=steps[~finite].tolist())
        edges = np.linspace(steps[0], steps[-1] + 1, most + 1)
        starts = np.unique(np.searchsorted(steps, edges[:-1], side="left"))
        last = np.append(starts[1:], len(steps)) - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            counts = np.add.reduceat(finite.astype(np.int64), starts)
            means = np.add.reduceat(np.where(finite, values, 0.0), starts) / counts
        low = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
        high = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
        wrong = counts < last - starts + 1
        bad = np.where(finite, -1, steps)
        return Curve(
            steps[last].tolist(),
            _listed(means),
            _listed(low),
            _listed(high),
            np.maximum.reduceat(bad, starts)[wrong].tolist(),
        )


def rounded(value: float) -> float:
    """Return a number with six digits that count.

    >>> rounded(0.0029997331451895883)
    0.00299973
    """
    return float(f"{value:.6g}")


def _listed(values: NDArray[np.float64]) -> list[float | None]:
    return [rounded(value) if math.isfinite(value) else None for value in values.tolist()]
