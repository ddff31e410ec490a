"""The order in which languages give rows: always the one that is furthest behind its weight.

No chance is involved, so any prefix of the stream holds every language within about a row of its
share. Weights 0.5, 0.3 and 0.2::

    row         0  1  2  3  4  5  6  7  8  9
    language    0  1  2  0  1  0  2  0  1  0
    its row     0  0  0  1  1  2  1  3  2  4
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Blend", "Once"]

_BLOCK = 4096


class Blend:
    """Rows of several streams in one order, computed as far as it was asked for.

    Row ``s`` comes from the stream with the largest ``weight * max(s, 1) - taken``, the first among
    equals. Source: ``helpers.build_blending_indices`` of Megatron; without its limit of 254 streams.

    Args:
        weights: One for each stream, above 0; they need not sum to 1.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self.weights = np.array(weights, dtype=np.float64)
        if not len(self.weights) or not (np.isfinite(self.weights) & (self.weights > 0)).all():
            raise ValueError(f"weights must be finite and above 0, not {list(weights)}")
        self.weights = self.weights / self.weights.sum()
        self._taken = np.zeros(len(self.weights), dtype=np.int64)
        self._streams = np.empty(0, dtype=np.int64)
        self._rows = np.empty(0, dtype=np.int64)
        self._done = 0

    def available(self, most: int) -> int:
        """Return how many rows there are, at most ``most``: there is no end of them."""
        return most

    def rows(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the stream, and the row of that stream, of each row in ``[start, stop)``."""
        while self._done < stop:
            self._extend()
        return self._streams[start:stop], self._rows[start:stop]

    def _extend(self) -> None:
        if self._done + _BLOCK > len(self._streams):
            room = max(2 * len(self._streams), self._done + _BLOCK)
            self._streams, self._rows = np.resize(self._streams, room), np.resize(self._rows, room)
        taken, weights = self._taken, self.weights
        for row in range(self._done, self._done + _BLOCK):
            stream = int(np.argmax(weights * max(row, 1) - taken))
            self._streams[row] = stream
            self._rows[row] = taken[stream]
            taken[stream] += 1
        self._done += _BLOCK


class Once:
    """Rows of streams that end, in the order of a blend; a stream that has ended is stepped over.

    Args:
        weights: As of :class:`Blend`.
        has: Tells of a stream and a row of it whether the stream goes so far.
    """

    def __init__(self, weights: Sequence[float], has: Callable[[int, int], bool]) -> None:
        self._blend, self._has = Blend(weights), has
        self._open = set(range(len(weights)))
        self._looked = 0
        self._found: list[tuple[int, int]] = []

    def available(self, most: int) -> int:
        """Return how many rows there are, at most ``most``."""
        while self._open and len(self._found) < most:
            streams, rows = self._blend.rows(self._looked, self._looked + 1)
            self._looked += 1
            place = (int(streams[0]), int(rows[0]))
            if place[0] in self._open and self._has(*place):
                self._found.append(place)
            else:
                self._open.discard(place[0])
        return min(most, len(self._found))

    def rows(self, start: int, stop: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the stream, and the row of that stream, of each row in ``[start, stop)``.

        Raises:
            ValueError: There are not so many.
        """
        if self.available(stop) < stop:
            raise ValueError(f"there are {len(self._found)} rows, not {stop}")
        found = np.array(self._found[start:stop], dtype=np.int64).reshape(-1, 2)
        return found[:, 0], found[:, 1]
