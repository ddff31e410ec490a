"""The order in which languages give rows: always the one that is furthest behind its weight.

No chance is involved, so any prefix of the stream holds every language within about a row of its
share. Weights 0.5, 0.3 and 0.2::

    row         0  1  2  3  4  5  6  7  8  9
    language    0  1  2  0  1  0  2  0  1  0
    its row     0  0  0  1  1  2  1  3  2  4
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Blend"]

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
