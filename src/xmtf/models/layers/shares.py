"""Positions that the processes of tensor parallelism share among themselves in training, as models see them.

Between sliced matrices (norms, dropout, residuals) every position is computed by one process alone. A model pads its
positions to a multiple of the processes where they begin, and asks for all of them where they end; in between,
the sliced matrices of :mod:`xmtf.parallel.tensor_parallel` put together what they read and add up what they give::

    positions      0 1 2 3 4 .      . is padding
    process 0      0 1 2
    process 1            3 4 .

Legend: E positions of this process, R rows, T positions of a row, X numbers of a position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xmtf.models.layers.host_copies import extended

__all__ = ["UNSHARED", "PositionShares"]

Joined = Callable[[Tensor, int], Tensor]
"""Own positions, in the last dimension but one, and how many there are in all -> all of them."""


def _as_they_are(hidden: Tensor, _: int) -> Tensor:
    return hidden


@dataclass(frozen=True, slots=True)
class PositionShares:
    """How positions are shared.

    Attributes:
        num: Processes that share them.
        whole: Puts together what all processes compute with in the same way: each knows its whole gradient.
        asked: Puts together what blocks of another stack read through their slices: each knows a share of its gradient.
    """

    num: int = 1
    whole: Joined = _as_they_are
    asked: Joined = _as_they_are

    def each(self, length: int) -> int:
        """Return the positions of one process, padding included."""
        return -(-length // self.num)

    def padded(self, values: Tensor) -> Tensor:
        """Return tokens or ids with zeros behind their last dimension, to a multiple of the processes."""
        return extended(values, self.each(values.shape[-1]) * self.num - values.shape[-1])

    def sent(self, own: Tensor, rows: int, length: int) -> Tensor:
        """Return own positions of ``[R, T]`` for the next pipeline stage, in a shape that depends on R and T alone.

        Args:
            own: ``[E, X]`` of documents, which may be fewer, or ``[R, E, X]``.
            rows: R.
            length: T.
        """
        if own.ndim == 3:
            return own
        each, width = self.each(length), own.shape[1]
        padded = functional.pad(own, (0, 0, 0, rows * each - len(own)))
        # no view: FSDP2 warns of models that return one
        message: Tensor = torch.ops.aten._unsafe_view(padded, (rows, each, width))
        return message

    def received(self, message: Tensor, length: int) -> Tensor:
        """Return own positions ``[E, X]`` of documents of ``length`` positions: undoes :meth:`sent`."""
        return message.flatten(0, 1)[: self.each(length)]


UNSHARED = PositionShares()
"""One process has all of them."""
