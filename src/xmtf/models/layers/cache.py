"""What decoding remembers: keys and values of positions already computed, and who they belong to.

Legend: R rows, N heads, S positions remembered, T new positions, D head size.

Meant for evaluation, under ``torch.no_grad()``: buffers grow by doubling and are written in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

__all__ = ["DecoderCache", "LayerCache", "joined"]

_SPARE_POSITIONS = 32


@dataclass(slots=True)
class LayerCache:
    """Keys and values of one layer, in buffers that hold more positions than are used."""

    keys: Tensor | None = None
    values: Tensor | None = None
    length: int = 0

    def append(self, key_RNTD: Tensor, value_RNTD: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new positions; return those of all, ``[R, N, S + T, D]``."""
        end = self.length + key_RNTD.shape[2]
        self.keys = _with_room(self.keys, key_RNTD, self.length, end)
        self.values = _with_room(self.values, value_RNTD, self.length, end)
        self.keys[:, :, self.length : end] = key_RNTD
        self.values[:, :, self.length : end] = value_RNTD
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def select(self, rows: Tensor) -> LayerCache:
        """Return a copy that holds the chosen rows."""
        if self.keys is None or self.values is None:
            return LayerCache()
        keys = self.keys[:, :, : self.length].index_select(0, rows)
        return LayerCache(keys, self.values[:, :, : self.length].index_select(0, rows), self.length)


def _with_room(buffer: Tensor | None, like_RNTD: Tensor, used: int, needed: int) -> Tensor:
    if buffer is not None and buffer.shape[2] >= needed:
        return buffer
    rows, heads, _, size = like_RNTD.shape
    capacity = needed if buffer is None else max(needed + _SPARE_POSITIONS, 2 * used)
    larger = like_RNTD.new_empty(rows, heads, capacity, size)
    if buffer is not None:
        larger[:, :, :used] = buffer[:, :, :used]
    return larger


@dataclass(slots=True)
class DecoderCache:
    """The cache of a whole decoder.

    Attributes:
        layers: Self-attention's keys and values, one entry per layer.
        cross: Cross attention's keys and values, one pair per layer; empty until first computed.
        segment_ids: ``[R, S]`` segment ids of the positions remembered, or None for one segment without padding.
        is_input: ``[R, S]``, which of them are inputs of a prefix LM, or None.
        encoder_segment_ids: Segment ids of the encoder's positions, or None.
    """

    layers: list[LayerCache]
    cross: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    segment_ids: Tensor | None = None
    is_input: Tensor | None = None
    encoder_segment_ids: Tensor | None = None

    @classmethod
    def empty(cls, num_layers: int) -> Self:
        """Return a cache without positions."""
        return cls([LayerCache() for _ in range(num_layers)])

    @property
    def length(self) -> int:
        """Positions remembered; a part of a model fills the layers of its own blocks."""
        return max(layer.length for layer in self.layers)

    def extend(self, tokens_RT: Tensor, segment_ids_RT: Tensor | None, is_input_RT: Tensor | None) -> None:
        """Remember whom the new positions belong to; call it before the layers append to the cache.

        Where some positions have segment ids and others none, those without get 1; without ``is_input`` they
        are no inputs.
        """
        self.segment_ids = joined(self.segment_ids, segment_ids_RT, tokens_RT, self.length, 1)
        self.is_input = joined(self.is_input, is_input_RT, tokens_RT, self.length, False)

    def select(self, rows: Tensor) -> Self:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        return type(self)(
            [layer.select(rows) for layer in self.layers],
            [(key.index_select(0, rows), value.index_select(0, rows)) for key, value in self.cross],
            _chosen(self.segment_ids, rows),
            _chosen(self.is_input, rows),
            _chosen(self.encoder_segment_ids, rows),
        )


def joined(
    old: Tensor | None, new: Tensor | None, tokens_RT: Tensor, length: int, missing: int | bool
) -> Tensor | None:
    """Return what is known of all positions, ``[R, S + T]``, or None where nothing is known of any.

    Args:
        old: What is known of the ``length`` positions remembered, or None.
        new: What is known of the new positions, or None.
        tokens_RT: The new positions' tokens, for their shape.
        length: Positions remembered.
        missing: What positions get of which nothing is known.
    """
    if old is None and new is None:
        return None
    if new is None:
        new = torch.full_like(tokens_RT, missing, dtype=old.dtype if old is not None else None)
    if old is None:
        old = new.new_full((len(tokens_RT), length), missing)
    return torch.cat([old, new], dim=1)


def _chosen(value: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if value is None else value.index_select(0, rows)
