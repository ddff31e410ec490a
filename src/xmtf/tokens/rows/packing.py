"""Which items share a row: three policies, each an endless stream of rows.

Items are never split. A row has one side (causal: inputs and targets together) or two (inputs in the
encoder, targets in the decoder), and every side must fit its capacity. One side, capacity 7, items of
3, 5, 2 and 4 tokens in the order in which they were shuffled::

    next_fit    [0] [1 2] [3 ...        one open row, closed by the first item that does not fit
    best_fit    [1 2] [0 3]             longest first, each into the fullest row that takes it
    pad         [0] [1] [2] [3]

An epoch is one permutation of the items; the unfinished row of an epoch continues in the next, so over E epochs every
item is in exactly E rows, but for those of the one row still open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Policy", "RowStream", "Rows", "best_fit", "next_fit", "one_each", "one_pass", "pack"]

Policy = Literal["next_fit", "best_fit", "pad"]
Sizes = npt.NDArray[np.signedinteger]
"""Integers ``[sides, items]``."""

_CHUNK = 1 << 16
_MOST_TRIES = 64


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a stream.

    Attributes:
        items: int64, the items of all rows, one row after the other.
        starts: int64 ``[rows + 1]``, where each row begins in ``items``.
    """

    items: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> npt.NDArray[np.int64]:
        return self.items[self.starts[row] : self.starts[row + 1]]


def pack(policy: Policy, sizes: Sizes, capacity: tuple[int, ...], seed: int | list[int], window: int) -> Iterator[Rows]:
    """Return the endless row stream of a policy.

    Args:
        policy: How items share rows.
        sizes: Integers ``[sides, items]``; items larger than the capacity on any side are left out.
        capacity: Tokens of a row on each side.
        seed: Of the permutations.
        window: Items that ``best_fit`` looks at together.

    Raises:
        ValueError: No item fits; the stream would never yield.
    """
    if not fits(sizes, capacity).any():
        raise ValueError(f"no item of {sizes.shape[1]} fits a row of {capacity} tokens")
    if policy == "next_fit":
        return next_fit(sizes, capacity, seed)
    if policy == "best_fit":
        return best_fit(sizes, capacity, seed, window)
    return one_each(sizes, capacity, seed)


def fits(sizes: Sizes, capacity: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Return which items fit an empty row, bool ``[items]``."""
    small: npt.NDArray[np.bool_] = sizes <= np.array(capacity)[:, None]
    found: npt.NDArray[np.bool_] = np.logical_and.reduce(small, axis=0)
    return found


def next_fit(sizes: Sizes, capacity: tuple[int, ...], seed: int | list[int]) -> Iterator[Rows]:
    """Yield an epoch of rows at a time, in BLOOMZ's order.

    Source: the packed dataset of Megatron-DeepSpeed's branch t0loading, row by row the same for one side and an
    integer seed: one RandomState draws all permutations; an item that is too large is skipped and closes the row.
    """
    random = np.random.RandomState(seed)
    open_row = np.empty(0, dtype=np.int64)
    while True:
        permutation = np.arange(sizes.shape[1])
        random.shuffle(permutation)
        order = np.concatenate([open_row, permutation])
        starts, ends, left = _next_fit_rows(sizes[:, order], capacity)
        rows, open_row = [_slices(order, starts, ends)], order[left:].copy()
        del permutation, order, starts, ends  # 32 bytes an item, which would be kept until the next epoch is planned
        yield rows.pop()


def _next_fit_rows(sizes: Sizes, capacity: tuple[int, ...]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return the begins and ends of the finished rows, and where the open row begins."""
    count = sizes.shape[1]
    end_at = np.full(count, count, dtype=np.int64)
    for side, most in zip(sizes, capacity, strict=True):
        # A row that begins at item i ends before the first item whose running sum passes the capacity. All begins are
        # searched at once, because the loop below visits only those that turn out to be begins.
        before = np.concatenate([[0], np.cumsum(side)])
        np.minimum(end_at, np.searchsorted(before, before[:-1] + most, side="right") - 1, out=end_at)
    # An item that fits no row at all ends the row before it, and is stepped over.
    too_large = np.flatnonzero(~fits(sizes, capacity))
    if len(too_large):
        following = np.append(too_large, count)[np.searchsorted(too_large, np.arange(count))]
        np.minimum(end_at, following, out=end_at)
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    while position < count:
        end = int(end_at[position])
        # The last row may still grow with the next epoch's items: it stays open.
        if end == count:
            break
        if end > position:
            starts.append(position)
            ends.append(end)
            position = end
        else:
            position += 1
    return np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64), position


def _slices(order: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Rows:
    lengths = ends - starts
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return Rows(order[np.repeat(starts - bounds[:-1], lengths) + np.arange(bounds[-1])], bounds)


def best_fit(sizes: Sizes, capacity: tuple[int, ...], seed: int | list[int], window: int) -> Iterator[Rows]:
    """Yield the rows of one window of items at a time; its emptiest row stays open for the next window."""
    random = np.random.RandomState(seed)
    fitting = np.flatnonzero(fits(sizes, capacity))
    open_row = np.empty(0, dtype=np.int64)
    while True:
        random.shuffle(fitting)
        for first in range(0, len(fitting), window):
            # The emptiest row is filled up in the next window: closing it here would waste its padding every window.
            items = np.concatenate([open_row, fitting[first : first + window]])
            row_of_item = _assign(sizes[:, items], capacity)
            rows, open_row = _shuffled_rows(items, row_of_item, sizes[:, items], capacity, random)
            yield rows


def _assign(sizes: Sizes, capacity: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Return the row of each item: best fit, longest first."""
    shares = sizes / np.array(capacity)[:, None]
    main = int(np.argmax(shares.sum(axis=1)))
    order = np.argsort(-shares.max(axis=0), kind="stable")
    if len(capacity) == 1:
        chosen = _assign_one_side(sizes[0, order].tolist(), capacity[0])
    else:
        other = 1 - main
        chosen = _assign_two_sides(
            sizes[main, order].tolist(), sizes[other, order].tolist(), capacity[main], capacity[other]
        )
    row_of_item = np.empty(len(order), dtype=np.int64)
    row_of_item[order] = chosen
    return row_of_item


def _assign_one_side(sizes: list[int], capacity: int) -> list[int]:
    """Best fit in a few operations an item: bit ``s`` of ``spaces`` says that a row with space ``s`` is there."""
    bits = [1 << space for space in range(capacity + 1)]
    rows_with: list[list[int]] = [[] for _ in bits]
    spaces = num_rows = 0
    chosen = []
    for size in sizes:
        # The lowest set bit of `spaces >> size` is the tightest row that has room: one shift finds it among thousands.
        enough = spaces >> size
        if enough:
            space = size + (enough & -enough).bit_length() - 1
            rows = rows_with[space]
            row = rows.pop()
            if not rows:
                spaces ^= bits[space]
            space -= size
        else:
            row, space = num_rows, capacity - size
            num_rows += 1
        chosen.append(row)
        rows_with[space].append(row)
        spaces |= bits[space]
    return chosen


def _assign_two_sides(sizes: list[int], others: list[int], capacity: int, other_capacity: int) -> list[int]:
    """Best fit by the side that fills first, among rows whose other side has room too."""
    rows_with: list[list[int]] = [[] for _ in range(capacity + 1)]
    room: list[int] = []
    spaces = 0
    chosen = []
    for size, other in zip(sizes, others, strict=True):
        space, at = _find_room(rows_with, room, spaces, size, other)
        if space < 0:
            row, left = len(room), capacity - size
            room.append(other_capacity - other)
        else:
            row, left = rows_with[space].pop(at), space - size
            room[row] -= other
            if not rows_with[space]:
                spaces ^= 1 << space
        chosen.append(row)
        # A row whose other side is full takes no item more: leaving it out keeps the search short.
        if room[row]:
            rows_with[left].append(row)
            spaces |= 1 << left
    return chosen


def _find_room(rows_with: list[list[int]], room: list[int], spaces: int, size: int, other: int) -> tuple[int, int]:
    """Return (space, index among the rows with that space), or (-1, -1); looks at a bounded number of rows."""
    tries = 0
    enough = spaces >> size
    space = size - 1
    while enough and tries < _MOST_TRIES:
        # Jump to the next space that any row has, instead of counting up one by one.
        step = (enough & -enough).bit_length()
        space += step
        enough >>= step
        for at, row in enumerate(rows_with[space]):
            if room[row] >= other:
                return space, at
            tries += 1
    return -1, -1


def _shuffled_rows(
    items: npt.NDArray[np.int64],
    row_of_item: npt.NDArray[np.int64],
    sizes: Sizes,
    capacity: tuple[int, ...],
    random: np.random.RandomState,
) -> tuple[Rows, npt.NDArray[np.int64]]:
    """Return all rows but the emptiest in random order, and the items of the emptiest."""
    # Longest-first filling sorts rows by size, and training on sorted rows would be a curriculum that nobody asked for.
    num_rows = int(row_of_item.max()) + 1
    shares = (sizes / np.array(capacity)[:, None]).sum(axis=0)
    emptiest = int(np.argmin(np.bincount(row_of_item, weights=shares)))
    rank = np.empty(num_rows, dtype=np.int64)
    rank[np.delete(np.arange(num_rows), emptiest)] = random.permutation(num_rows - 1)
    rank[emptiest] = num_rows - 1
    rank_of_item = rank[row_of_item]
    order = np.argsort(rank_of_item, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(rank_of_item, minlength=num_rows))])
    return Rows(items[order[: starts[-2]]], starts[:-1]), items[order[starts[-2] :]]


def one_each(sizes: Sizes, capacity: tuple[int, ...], seed: int | list[int]) -> Iterator[Rows]:
    """Yield rows of one item each, in chunks."""
    random = np.random.RandomState(seed)
    fitting = np.flatnonzero(fits(sizes, capacity))
    while True:
        random.shuffle(fitting)
        for first in range(0, len(fitting), _CHUNK):
            items = fitting[first : first + _CHUNK].copy()
            yield Rows(items, np.arange(len(items) + 1))


def one_pass(chunks: Iterator[Rows], sizes: Sizes, capacity: tuple[int, ...], *, alone: bool) -> Iterator[Rows]:
    """Yield the rows of one epoch of a stream, every item once; its open row is closed as it is.

    ::

        endless, next_fit    [0] [1 2] [3 0] [2 1] ...        what was open continues in the next epoch
        one pass             [0] [1 2] [3]

    Args:
        chunks: The stream, see :func:`pack`.
        sizes: As of :func:`pack`.
        capacity: As of :func:`pack`.
        alone: Whether every item has its own row.
    """
    left = fits(sizes, capacity)
    while left.any():
        items = np.flatnonzero(left)
        if not alone and (sizes[:, items].sum(axis=1) <= np.array(capacity)).all():
            yield Rows(items, np.array([0, len(items)]))
            return
        chunk = next(chunks)
        left[chunk.items] = False
        yield chunk


class RowStream:
    """A row stream, endless or not, with random access: planned only as far as it was asked for.

    Args:
        chunks: The stream, see :func:`pack` and :func:`one_pass`.
    """

    def __init__(self, chunks: Iterator[Rows]) -> None:
        self._chunks = chunks
        self._planned: list[Rows] = []
        self._ends: list[int] = []

    @property
    def num_planned(self) -> int:
        """Rows planned so far."""
        return self._ends[-1] if self._ends else 0

    def plan(self, rows: int) -> None:
        """Plan at least so many rows, or all that there are."""
        while self.num_planned < rows:
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            if len(chunk):
                self._planned.append(chunk)
                self._ends.append(self.num_planned + len(chunk))

    def __getitem__(self, row: int) -> npt.NDArray[np.int64]:
        """Return the items of one row."""
        self.plan(row + 1)
        at = bisect_right(self._ends, row)
        return self._planned[at][row - (self._ends[at - 1] if at else 0)]

    def has(self, row: int) -> bool:
        """Return whether the stream goes as far as a row."""
        self.plan(row + 1)
        return row < self.num_planned

    def planned_items(self) -> npt.NDArray[np.int64]:
        """Return the items of all rows planned so far."""
        return np.concatenate([np.empty(0, dtype=np.int64), *(chunk.items for chunk in self._planned)])
