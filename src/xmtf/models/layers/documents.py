"""Packed rows as documents: attention of each document alone, so that no mask of a whole row ever exists.

A row of 2,048 tokens holds about 20 documents, and 93 % of its square of scores is forbidden. Here rows are
taken apart once, before the first layer: documents lie one behind the other, short ones first, without padding,
and products with weights run over all of them. Attention is computed by groups of documents of about one
length; where lengths differ, shorter documents repeat their last position up to the longest, for attention alone::

    segment_ids   1 1 1 2 2 0          places      3 4 | 8 9 | 0 1 2 | 6 7 ...
                  1 1 2 2 3 ...        a group     two documents of 2 positions each

Legend: R rows, T positions of a row, F positions of all documents, B documents of a group, L positions of its
longest, X numbers of a position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from xmtf.models.layers.host_copies import on_host, to_device

__all__ = ["DocumentPairs", "Documents", "Group", "PairGroup", "by_group", "chosen", "joined"]

_Ints = NDArray[np.int64]
_SMALLEST = 128
"""Groups of documents may have this many positions squared, however short the longest document is."""
_KNOWN: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""Segment ids -> their documents, for as long as the ids live: several parts of a model ask."""


@dataclass(frozen=True, slots=True)
class Group:
    """Documents whose attention is one call.

    Attributes:
        count: B.
        length: L.
        places: int64 ``[B * L]``, of each position its place among the group's own; None where all documents
            have the same length, so that nothing is padded.
        kept: int64, which of the ``B * L`` positions are no padding; None likewise.
        size: Positions without padding.
    """

    count: int
    length: int
    size: int
    places: Tensor | None = None
    kept: Tensor | None = None

    def is_real(self) -> Tensor | None:
        """Return which positions are no padding, bool ``[B, L]``, or None for all."""
        if self.kept is None:
            return None
        real = torch.zeros(self.count * self.length, dtype=torch.bool, device=self.kept.device)
        return real.index_fill_(0, self.kept, True).view(self.count, self.length)


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of packed rows, as they lie one behind the other.

    Attributes:
        shape: R and T.
        places: int64 ``[F]``, where each position is in the flattened rows.
        groups: In order; their sizes add up to F.
        keys: Row and segment id of each document, in order.
        starts: First place of each document among the F.
        lengths: Positions of each document.
    """

    shape: tuple[int, int]
    places: Tensor
    groups: tuple[Group, ...]
    keys: _Ints
    starts: _Ints
    lengths: _Ints

    @classmethod
    def of(cls, segment_ids_RT: Tensor) -> Self | None:
        """Return the documents of rows, or None where a segment is in several pieces, or nothing is a document.

        Args:
            segment_ids_RT: Segment ids, 0 for padding.
        """
        if segment_ids_RT not in _KNOWN:
            _KNOWN[segment_ids_RT] = cls._of(on_host(segment_ids_RT), segment_ids_RT.device)
        known: Self | None = _KNOWN[segment_ids_RT]
        return known

    @classmethod
    def _of(cls, ids_RT: NDArray[np.int32], device: torch.device) -> Self | None:
        fenced = np.pad(ids_RT, ((0, 0), (1, 1)))
        begins = (ids_RT != 0) & (ids_RT != fenced[:, :-2])
        ends = (ids_RT != 0) & (ids_RT != fenced[:, 2:])
        starts, stops = np.flatnonzero(begins), np.flatnonzero(ends) + 1
        keys = np.stack([starts // ids_RT.shape[1], ids_RT.ravel()[starts]], axis=1)
        if not len(keys) or len(np.unique(keys, axis=0)) < len(keys):
            return None
        order = np.argsort(stops - starts, kind="stable")
        lengths, row_starts = (stops - starts)[order], starts[order]
        flat_starts = np.cumsum(lengths) - lengths
        places = np.repeat(row_starts - flat_starts, lengths) + np.arange(lengths.sum())
        parts = [lengths[part] for part in _parts(lengths, lengths)]
        padded = [_padding(part) for part in parts]
        tensors = iter(to_device([places, *(array for pair in padded if pair for array in pair)], device))
        flat_places = next(tensors)
        groups = tuple(
            Group(len(part), int(part.max()), int(part.sum()), *((next(tensors), next(tensors)) if pair else ()))
            for part, pair in zip(parts, padded, strict=True)
        )
        shape = (ids_RT.shape[0], ids_RT.shape[1])
        return cls(shape, flat_places, groups, keys[order], flat_starts, lengths)

    @property
    def longest(self) -> int:
        """Positions of the longest document."""
        return int(self.lengths[-1])

    def take(self, values: Tensor) -> Tensor:
        """Return the documents of ``[R, T, ...]``, ``[F, ...]``."""
        return values.flatten(0, 1).index_select(0, self.places)

    def put_back(self, values_FX: Tensor) -> Tensor:
        """Return rows ``[R, T, X]``; padding gets zeros."""
        rows, length = self.shape
        flat = values_FX.new_zeros(rows * length, values_FX.shape[1])
        put_RT_X = flat.index_copy(0, self.places, values_FX)
        # no view: FSDP2 warns of models that return one, as it could lose its hook
        whole: Tensor = torch.ops.aten._unsafe_view(put_RT_X, (rows, length, values_FX.shape[1]))
        return whole


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Pairs of documents whose cross attention is one call.

    Attributes:
        queries: int64 ``[B * T]``, places among the positions of all asking documents; None for all as they are.
        keys: int64 ``[B * S]``, places among the positions of all documents that are asked; None likewise.
        shape: B, T and S.
        allowed: Which keys are no padding, bool ``[B, 1, 1, S]``, or None for all.
    """

    queries: Tensor | None
    keys: Tensor | None
    shape: tuple[int, int, int]
    allowed: Tensor | None


@dataclass(frozen=True, slots=True)
class DocumentPairs:
    """Documents that ask, and of each the document that it asks: targets and their inputs.

    Attributes:
        groups: Pairs of about one length.
        order: int64 ``[F]``, where the asking documents' positions are in the padded answers of all groups together;
            None where they are as they are asked.
    """

    groups: tuple[PairGroup, ...]
    order: Tensor | None

    @classmethod
    def of(cls, asking: Documents, asked: Documents) -> Self | None:
        """Return the pairs of equal row and segment id, or None where a document has nothing to ask."""
        place_of = {tuple(key): place for place, key in enumerate(asked.keys.tolist())}
        partners = [place_of.get(tuple(key), -1) for key in asking.keys.tolist()]
        if -1 in partners:
            return None
        partner = np.asarray(partners)
        order = np.lexsort((asking.lengths, partner))
        queries, keys = asking.lengths[order], asked.lengths[partner[order]]
        found: list[tuple[tuple[int, int, int], _Ints | None, _Ints | None, NDArray[np.bool_] | None]] = []
        real, begin = np.zeros(int(asking.lengths.sum()), np.int64), 0
        for part in _parts(keys, queries):
            chosen, width = order[part], int(queries[part].max())
            query_BT, is_query_BT = _padded(asking.starts[chosen], queries[part], width)
            key_BS, is_key_BS = _padded(asked.starts[partner[chosen]], keys[part], int(keys[part].max()))
            real[query_BT[is_query_BT]] = begin + np.flatnonzero(is_query_BT)
            begin += query_BT.size
            allowed = None if is_key_BS.all() else is_key_BS[:, None, None]
            queries_P = _choice(query_BT.ravel(), int(asking.lengths.sum()))
            keys_P = _choice(key_BS.ravel(), int(asked.lengths.sum()))
            found.append(((len(chosen), width, key_BS.shape[1]), queries_P, keys_P, allowed))
        sent = _all_to_device([*(array for _, *arrays in found for array in arrays), _choice(real, begin)], asking)
        groups = tuple(PairGroup(next(sent), next(sent), shape, next(sent)) for shape, *_ in found)
        return cls(groups, next(sent))


def by_group(values_FX: Tensor, groups: Sequence[Group]) -> list[Tensor]:
    """Return the positions of each group, padded, ``[B, L, X]``; gradients of padding are not followed.

    Positions behind those of all groups are left out: padding of those that processes share.
    """
    sizes = [group.size for group in groups]
    parts = torch.split_with_sizes(values_FX, [*sizes, len(values_FX) - sum(sizes)])[:-1]
    return [
        (part if group.places is None else _pad(part, group)).view(group.count, group.length, -1)
        for part, group in zip(parts, groups, strict=True)
    ]


def joined(parts: Sequence[Tensor], groups: Sequence[Group]) -> Tensor:
    """Return the positions of all groups without padding, ``[F, X]``: undoes :func:`by_group`."""
    flat = [part.flatten(0, 1) for part in parts]
    real = [
        part if group.kept is None else part.index_select(0, group.kept)
        for part, group in zip(flat, groups, strict=True)
    ]
    return real[0] if len(real) == 1 else torch.cat(real)


def chosen(values_FX: Tensor, places: Tensor | None, size: int) -> Tensor:
    """Return the positions at some places, or the first ``size`` as they are."""
    if places is not None:
        return values_FX.index_select(0, places)
    return values_FX if len(values_FX) == size else values_FX[:size]


def _pad(part_FX: Tensor, group: Group) -> Tensor:
    padded: Tensor = _Pad.apply(part_FX, group.places, group.kept)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return padded


class _Pad(torch.autograd.Function):
    """Repeats positions for padding. Attention gives padding no gradient, so going back is a choice, not a sum."""

    @staticmethod
    def forward(ctx: Any, part_FX: Tensor, places: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(kept)
        return part_FX.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (kept,) = ctx.saved_tensors
        return gradients[0].index_select(0, kept), None, None


def _parts(lengths: _Ints, others: _Ints) -> list[slice]:
    """Return runs of ascending lengths that are within a quarter, and no larger together than the longest squared."""
    steps = np.maximum(1 << np.maximum(np.log2(lengths).astype(np.int64) - 2, 0), 4)
    rounded = -(-lengths // steps) * steps
    room = max(int(lengths.max()) * int(others.max()), _SMALLEST**2)
    parts, start, widest = [], 0, 0
    for place, (size, other) in enumerate(zip(rounded.tolist(), others.tolist(), strict=True)):
        widest = max(widest, other)
        if size != rounded[start] or (place - start + 1) * size * widest > room:
            parts.append(slice(start, place))
            start, widest = place, other
    return [part for part in [*parts, slice(start, len(lengths))] if part.stop > part.start]


def _padding(lengths: _Ints) -> tuple[_Ints, _Ints] | None:
    """Return ``places`` and ``kept`` of a group of documents (see :class:`Group`), or None where nothing is padded."""
    longest = int(lengths.max())
    if int(lengths.sum()) == len(lengths) * longest:
        return None
    places_BL, real_BL = _padded(np.cumsum(lengths) - lengths, lengths, longest)
    return places_BL.ravel(), np.flatnonzero(real_BL)


def _padded(starts: _Ints, lengths: _Ints, width: int) -> tuple[_Ints, NDArray[np.bool_]]:
    """Return places ``[B, width]`` where the last position of each document fills it up, and which are its own."""
    offsets = np.arange(width)
    return starts[:, None] + np.minimum(offsets, lengths[:, None] - 1), offsets < lengths[:, None]


def _choice(places: _Ints, size: int) -> _Ints | None:
    """Return places among ``size``, or None where they are all of them in order."""
    return None if np.array_equal(places, np.arange(size)) else places


def _all_to_device(arrays: Sequence[NDArray[Any] | None], beside: Documents) -> Iterator[Tensor | None]:
    """Return arrays as tensors besides others, by one copy; None stays None."""
    sent = iter(to_device([array for array in arrays if array is not None], beside.places.device))
    return (None if array is None else next(sent) for array in arrays)
