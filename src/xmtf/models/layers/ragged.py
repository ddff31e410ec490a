"""Rows of different lengths, read and written without padding.

New positions of all rows lie one behind the other, so that products with weights see no padding; attention goes piece
by piece. A piece is computed once however many rows begin with it, and its keys and values are remembered for each
of them. Three prompts, and how they are read::

    row 0   a b c d e              new positions   a b c | d e | f | a
    row 1   a b c f                rows of each      0 1 |   0 | 1 | 2
    row 2   a                      after so many       0 |   3 | 3 | 0

Each row has its own length: one that has ended leaves its place to another of any length. Meant for evaluation,
under ``torch.no_grad()``.

Legend: R rows, F new positions of all pieces, S positions remembered, N heads, K heads of keys, G heads that share
one of keys, W new positions of a row, D head size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from xmtf.errors import ConfigError
from xmtf.models.interface import Model
from xmtf.models.layers.cut import cut_fault

__all__ = [
    "MIN_SHARED",
    "Piece",
    "RaggedCache",
    "RaggedPass",
    "RaggedReader",
    "ragged_reader",
    "read_rows",
    "read_texts",
]

Ids = tuple[int, ...]

MIN_SHARED = 16
"""Shorter common beginnings are computed again: a piece costs a few calls in every layer."""

_PASS_POSITIONS = 2048
"""Positions that go through the layers together: fewer read the weights more often, and more gain little."""

_SPARE_POSITIONS = 32

_FEW_POSITIONS = 16
"""Rows that get at most so many each attend together, padded; longer pieces attend one by one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive new positions.

    Attributes:
        length: How many.
        past: Positions that its rows remember before it, the same ones.
        rows: Which rows remember it.
        both_ways: Whether its positions see one another in both directions (the prompt of a prefix LM).
    """

    length: int
    past: int
    rows: tuple[int, ...]
    both_ways: bool = False

    @property
    def end(self) -> int:
        """Positions that its rows remember with it."""
        return self.past + self.length


@dataclass(slots=True)
class RaggedCache:
    """Keys and values of rows, each of its own length.

    Attributes:
        lengths: Positions remembered of each row.
        layers: Keys and values of each layer, ``[R, K, room, D]``.
        room: Positions that buffers have room for, where they are recreated.
    """

    lengths: list[int] = field(default_factory=list)
    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    room: int = 0

    def select(self, rows: Tensor) -> Self:
        """Return a copy of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        lengths = [self.lengths[row] for row in rows.tolist()]
        longest = max(lengths, default=0)
        layers = {
            index: (_roomy(keys[:, :, :longest], rows, self.room), _roomy(values[:, :, :longest], rows, self.room))
            for index, (keys, values) in self.layers.items()
        }
        return type(self)(lengths, layers, self.room)

    def joined(self, other: Self) -> Self:
        """Return the rows of both, those of the other behind."""
        room = max(self.room, other.room)
        layers = {}
        for index, (keys, values) in self.layers.items():
            more_keys, more_values = other.layers[index]
            layers[index] = (_together(keys, more_keys, room), _together(values, more_values, room))
        return type(self)(self.lengths + other.lengths, layers, room)

    def forget(self, row: int, positions: int) -> None:
        """Forget the last positions of a row; the next ones take their places."""
        self.lengths[row] -= positions

    def reserve(self, positions: int) -> None:
        """Give all rows room for so many positions."""
        if positions > self.room:
            self.room = positions + max(_SPARE_POSITIONS, positions // 2) * bool(self.layers)
            everything = torch.arange(len(self.lengths))
            for index, (keys, values) in self.layers.items():
                rows = everything.to(keys.device)
                self.layers[index] = (_roomy(keys, rows, self.room), _roomy(values, rows, self.room))

    def buffers(self, layer: int, like_KFD: Tensor, value_KFD: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of a layer, which is made where it is new."""
        if layer not in self.layers:
            self.layers[layer] = (self._made(like_KFD), self._made(value_KFD))
        return self.layers[layer]

    def _made(self, like_KFD: Tensor) -> Tensor:
        heads, _, size = like_KFD.shape
        return like_KFD.new_zeros(len(self.lengths), heads, self.room, size)


def _roomy(buffer: Tensor, rows: Tensor, room: int) -> Tensor:
    larger = buffer.new_zeros(len(rows), buffer.shape[1], room, buffer.shape[3])
    larger[:, :, : buffer.shape[2]] = buffer.index_select(0, rows)
    return larger


def _together(first: Tensor, second: Tensor, room: int) -> Tensor:
    both = first.new_zeros(len(first) + len(second), first.shape[1], room, first.shape[3])
    both[: len(first), :, : first.shape[2]] = first
    both[len(first) :, :, : second.shape[2]] = second
    return both


class RaggedPass:
    """One pass of new positions through a model.

    Args:
        cache: What is remembered; keys and values of the pass are added to it.
        pieces: In the order of their positions; one that continues after another is behind it.
        device: Of the model.
    """

    def __init__(self, cache: RaggedCache, pieces: Sequence[Piece], device: torch.device) -> None:
        self.cache = cache
        self.pieces = pieces
        self.num_positions = sum(piece.length for piece in pieces)
        self.layers_read = 0
        cache.reserve(max((piece.end for piece in pieces), default=0))
        self.device = device
        self._places_F = torch.tensor([place for piece in pieces for place in range(piece.past, piece.end)]).to(device)
        self._few = _FewEach.of(cache, pieces, device)
        self._masks: dict[tuple[int, int | None], Tensor | None] = {}

    def positions(self) -> Tensor:
        """Return the distance of each new position from the beginning of its row, int64 ``[F]``."""
        return self._places_F

    def finish(self) -> None:
        """Count the new positions as remembered, after the last layer."""
        for piece in self.pieces:
            for row in piece.rows:
                self.cache.lengths[row] = piece.end

    def attend(
        self,
        layer: int,
        query_NFD: Tensor,
        key_KFD: Tensor,
        value_KFD: Tensor,
        *,
        scale: float | None,
        window: int | None = None,
        dropout: float = 0.0,
    ) -> Tensor:
        """Remember keys and values of a layer, and return what its queries find, ``[F, N, D]``.

        Args:
            layer: Its index.
            query_NFD: Queries of the new positions, with what rotary positions do to them.
            key_KFD: Keys, likewise.
            value_KFD: Values.
            scale: Of scores; None for ``D ** -0.5``.
            window: How many positions a query sees, with itself; None for all.
            dropout: Must be 0: nothing is dropped in evaluation.

        Raises:
            ConfigError: Dropout.
        """
        if dropout:
            raise ConfigError("rows without padding are read in evaluation, where attention has no dropout")
        self.layers_read += 1
        keys, values = self.cache.buffers(layer, key_KFD, value_KFD)
        if self._few is not None:
            keys[self._few.rows_F, :, self._places_F] = key_KFD.transpose(0, 1)
            values[self._few.rows_F, :, self._places_F] = value_KFD.transpose(0, 1)
            return self._attend_together(self._few, query_NFD, keys, values, scale, window)
        found_FND = query_NFD.new_empty(query_NFD.shape[1], query_NFD.shape[0], value_KFD.shape[2])
        start = 0
        for index, piece in enumerate(self.pieces):
            own = slice(start, start + piece.length)
            for row in piece.rows:
                keys[row, :, piece.past : piece.end] = key_KFD[:, own]
                values[row, :, piece.past : piece.end] = value_KFD[:, own]
            row = piece.rows[0]
            mask = self._mask(index, window)
            found_1NLD = functional.scaled_dot_product_attention(
                query_NFD[None, :, own],
                keys[row : row + 1, :, : piece.end],
                values[row : row + 1, :, : piece.end],
                attn_mask=mask,
                is_causal=mask is None and piece.past == 0 and not piece.both_ways,
                scale=scale,
                enable_gqa=len(query_NFD) != len(key_KFD),
            )
            found_FND[own] = found_1NLD[0].transpose(0, 1)
            start += piece.length
        return found_FND

    def _attend_together(
        self, few: _FewEach, query_NFD: Tensor, keys: Tensor, values: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        """Attend with few positions of each row: heads that share keys are more queries of one head."""
        seen = max(piece.end for piece in self.pieces)
        query_RWND = few.padded(query_NFD.transpose(0, 1))
        num_rows, width, _, size = query_RWND.shape
        query_RWKGD = query_RWND.view(num_rows, width, keys.shape[1], -1, size)
        found_RKXD = functional.scaled_dot_product_attention(
            query_RWKGD.permute(0, 2, 3, 1, 4).reshape(num_rows, keys.shape[1], -1, size),
            keys[:, :, :seen],
            values[:, :, :seen],
            attn_mask=self._mask_together(few, query_RWKGD.shape[3], seen, window),
            scale=scale,
        )
        found_RKGWD = found_RKXD.view(num_rows, keys.shape[1], -1, width, found_RKXD.shape[3])
        return few.unpadded(found_RKGWD.permute(0, 3, 1, 2, 4).flatten(2, 3))

    def _mask_together(self, few: _FewEach, shared: int, seen: int, window: int | None) -> Tensor | None:
        """Return which keys the positions of each row see, once for each head that shares them, ``[R, 1, GW, S]``."""
        if (-1, window) not in self._masks:
            mask = None
            ends = {piece.end for piece in self.pieces}
            if few.width > 1 or len(ends) > 1 or (window is not None and seen > window):
                places_RW = few.padded(self._places_F)
                mask = _seen_keys(places_RW[:, None, None, :, None], seen, window, self.device)
                mask = mask.expand(-1, -1, shared, -1, -1).flatten(2, 3)
            self._masks[-1, window] = mask
        return self._masks[-1, window]

    def _mask(self, index: int, window: int | None) -> Tensor | None:
        """Return which keys a piece sees, ``[1, 1, T, S]``, or None for no mask."""
        if (index, window) not in self._masks:
            piece = self.pieces[index]
            mask = None
            if (window is not None and piece.end > window) or (
                piece.past > 0 and piece.length > 1 and not piece.both_ways
            ):
                queries_T1 = torch.arange(piece.past, piece.end, device=self.device)[:, None]
                queries_T1 = queries_T1[None, None]
                mask = _seen_keys(queries_T1, piece.end, window, self.device, both_ways=piece.both_ways)
            self._masks[index, window] = mask
        return self._masks[index, window]


def _seen_keys(
    queries: Tensor, seen: int, window: int | None, device: torch.device, *, both_ways: bool = False
) -> Tensor:
    """Return which of the first keys queries at such places see; places ``[..., 1]``, result ``[..., S]``."""
    keys_S = torch.arange(seen, device=device)
    allowed = (keys_S <= queries) | both_ways
    return allowed if window is None else allowed & (keys_S > queries - window)


@dataclass(frozen=True, slots=True)
class _FewEach:
    """Few new positions of every row, in the order of rows.

    Attributes:
        rows_F: The row of each.
        offsets_F: Its place among those of its row.
        num_rows: R.
        width: Most of one row, W.
    """

    rows_F: Tensor  # noqa: N815 - shape suffix
    offsets_F: Tensor  # noqa: N815 - shape suffix
    num_rows: int
    width: int

    @classmethod
    def of(cls, cache: RaggedCache, pieces: Sequence[Piece], device: torch.device) -> Self | None:
        """Return those of a pass, or None where it has others."""
        width = max((piece.length for piece in pieces), default=0)
        in_order = [piece.rows for piece in pieces] == [(row,) for row in range(len(cache.lengths))]
        if not in_order or not 0 < width <= _FEW_POSITIONS or any(piece.both_ways for piece in pieces):
            return None
        rows = [row for row, piece in enumerate(pieces) for _ in range(piece.length)]
        offsets = [offset for piece in pieces for offset in range(piece.length)]
        return cls(torch.tensor(rows).to(device), torch.tensor(offsets).to(device), len(pieces), width)

    def padded(self, values_F: Tensor) -> Tensor:
        """Return values ``[F, ...]`` as ``[R, W, ...]``, with zeros where a row has fewer."""
        if len(values_F) == self.num_rows * self.width:
            return values_F.view(self.num_rows, self.width, *values_F.shape[1:])
        padded = values_F.new_zeros(self.num_rows, self.width, *values_F.shape[1:])
        padded[self.rows_F, self.offsets_F] = values_F
        return padded

    def unpadded(self, values_RW: Tensor) -> Tensor:
        """Return values ``[R, W, ...]`` as ``[F, ...]``."""
        if len(self.rows_F) == self.num_rows * self.width:
            return values_RW.flatten(0, 1)
        return values_RW[self.rows_F, self.offsets_F]


@runtime_checkable
class RaggedReader(Protocol):
    """A causal model that reads rows of different lengths without padding."""

    @property
    def ragged_fault(self) -> str | None:
        """Why it would read them wrongly, or None."""

    def read_pieces(self, tokens_F: Tensor, read: RaggedPass) -> Tensor:
        """Return hidden states after the last norm, ``[F, H]``; the cache remembers the positions."""
        ...


def ragged_reader(model: Model) -> RaggedReader | None:
    """Return a model that is to be asked for rows without padding as one that reads them, or None."""
    weight = model.head_weight()
    if weight.device.type != "cpu" or not isinstance(model, RaggedReader) or cut_fault(model) is not None:
        return None  # on GPUs pieces have not been measured
    return model if model.ragged_fault is None else None


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece and its tokens."""

    piece: Piece
    tokens: Ids


def read_texts(
    reader: RaggedReader, texts: Sequence[Ids], device: torch.device, *, both_ways: bool = False
) -> tuple[RaggedCache, Tensor]:
    """Read texts from their first token; return what is remembered of them and their last hidden states ``[R, H]``.

    Args:
        reader: The model.
        texts: Of at least one token each; what some of them begin with is computed once.
        device: Of the model.
        both_ways: Whether all tokens of a text see one another; nothing is shared then.
    """
    cache = RaggedCache([0] * len(texts))
    cache.reserve(max(map(len, texts)) + _SPARE_POSITIONS)
    if both_ways:
        parts = [_Part(Piece(len(text), 0, (row,), True), text) for row, text in enumerate(texts)]
    else:
        parts = list(shared_parts(texts))
    last: list[Tensor | None] = [None] * len(texts)
    for together in _passes(parts):
        read = RaggedPass(cache, [part.piece for part in together], device)
        hidden_FH = reader.read_pieces(torch.tensor([t for part in together for t in part.tokens], device=device), read)
        end = 0
        for part in together:
            end += part.piece.length
            for row in part.piece.rows:
                last[row] = hidden_FH[end - 1]
    return cache, torch.stack([state for state in last if state is not None])


def shared_parts(texts: Sequence[Ids]) -> Iterator[_Part]:
    """Yield the pieces of texts, each before those that continue after it."""
    order = sorted(range(len(texts)), key=lambda row: texts[row])
    pending = [(order, 0, 0)]  # rows in order of their texts, which agree up to a place; read up to another
    while pending:
        rows, agreed, past = pending.pop()
        first, final = texts[rows[0]], texts[rows[-1]]
        while agreed < min(len(first), len(final)) and first[agreed] == final[agreed]:
            agreed += 1
        if len(rows) == 1 or agreed == len(final) or agreed - past >= MIN_SHARED:
            yield _Part(Piece(agreed - past, past, tuple(rows)), first[past:agreed])
            past = agreed
        ended = [row for row in rows if len(texts[row]) == agreed]
        if ended and past < agreed:
            yield _Part(Piece(agreed - past, past, tuple(ended)), first[past:agreed])
        branches: dict[int, list[int]] = {}
        for row in rows[len(ended) :]:
            branches.setdefault(texts[row][agreed], []).append(row)
        pending += [(branch, agreed, past) for branch in reversed(branches.values())]


def _passes(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """Yield parts that go through the layers together."""
    together: list[_Part] = []
    size = 0
    for part in parts:
        if together and size + part.piece.length > _PASS_POSITIONS:
            yield together
            together, size = [], 0
        together.append(part)
        size += part.piece.length
    if together:
        yield together


def read_rows(
    reader: RaggedReader, tokens_RT: Tensor, real_RT: Tensor | None, cache: RaggedCache, *, both_ways: bool = False
) -> Tensor:
    """Read on after what a cache remembers; return hidden states ``[R, T, H]``, zeros at padding.

    Args:
        reader: The model.
        tokens_RT: New tokens.
        real_RT: Which of them are no padding; None for all.
        cache: Of as many rows, or an empty one.
        both_ways: Whether the new tokens of a row see one another in both directions.
    """
    num_rows, width = tokens_RT.shape
    cache.lengths = cache.lengths or [0] * num_rows
    counts = [width] * num_rows if real_RT is None else real_RT.sum(dim=1).tolist()
    pieces = [
        Piece(count, past, (row,), both_ways)
        for row, (count, past) in enumerate(zip(counts, cache.lengths, strict=True))
        if count
    ]
    read = RaggedPass(cache, pieces, tokens_RT.device)
    if real_RT is None or read.num_positions == tokens_RT.numel():
        return reader.read_pieces(tokens_RT.flatten(), read).view(num_rows, width, -1)
    places_F = real_RT.flatten().nonzero()[:, 0]
    hidden_FH = reader.read_pieces(tokens_RT.flatten()[places_F], read)
    hidden_PH = hidden_FH.new_zeros(tokens_RT.numel(), hidden_FH.shape[1])
    hidden_PH[places_F] = hidden_FH
    return hidden_PH.view(num_rows, width, -1)
