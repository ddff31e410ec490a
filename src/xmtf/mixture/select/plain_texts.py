"""Which texts can hold a field at all: a quick look at all, before the letters of some are compared.

Of each letter only the last byte is looked at, so eight letters are one 64-bit number. Of the stretches of letters in a
text every fourth is looked up; of a field four that follow one another are known, so that one of them is looked up
wherever the field stands. Stretches have 16 letters, or 8 or 5 in short fields.

::

    text         "So it rained."     letters  s o i t r a i n e d
    looked up    s o i t r    r a i n e
    field        "it rained"    known  i t r a i    t r a i n    r a i n e    a i n e d
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64, ended, last_bytes

__all__ = [
    "PLAIN_LETTERS",
    "Known",
    "PlainFilter",
    "PlainFilters",
    "known_by",
    "near_filter",
    "pass_filter",
    "ranges",
]

PLAIN_LETTERS = 8
"""Letters of a number."""
_KEPT = string.ascii_lowercase + string.digits
_BETWEEN = "\0"
_TABLE = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_DELETED = bytes(set(range(256)) - set((_KEPT + string.ascii_uppercase + _BETWEEN).encode()))
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_CHUNK_BYTES = 2**18
_MOST_BITS, _PLACES = 22, 32
STEP = 4
"""Of so many stretches of letters in a text one is looked up."""
_LETTERS = (16, PLAIN_LETTERS, PLAIN_LETTERS - STEP + 1)
"""Letters of stretches: a field is known by the largest of which it has :data:`STEP`."""


class Known(NamedTuple):
    """What some fields of eight letters or more are known by, ``[f]`` each.

    Attributes:
        keys: Hashes of the stretches of letters at ``place`` and the three places after it, uint64 ``[f, 4]``.
        place: Where the first of them is in the field, int64.
        head: The first eight letters of the field, as a number, uint64.
        tail: Its last eight.
        length: Its letters, int64.
    """

    keys: UInt64
    place: Int64
    head: UInt64
    tail: UInt64
    length: Int64

    def take(self, chosen: Int64) -> Known:
        """Return what some of the fields are known by."""
        return Known(self.keys[chosen], self.place[chosen], self.head[chosen], self.tail[chosen], self.length[chosen])


def known_by(low: npt.NDArray[np.uint8], start: Int64, length: Int64, offset: Int64) -> Known:
    """Return what fields are known by; of no use for those of fewer than eight letters.

    Args:
        low: Last bytes of their letters.
        start: Where each begins.
        length: Its letters.
        offset: A place in it that few others are like.
    """
    low = np.append(low, np.zeros(_LETTERS[0], np.uint8))
    keys = np.zeros((len(start), STEP), np.uint64)
    place = np.zeros(len(start), np.int64)
    for size, chosen in _by_size(length):
        place[chosen] = np.minimum(offset[chosen], length[chosen] - (size + STEP - 1))
        first = start[chosen] + place[chosen]
        for step in range(STEP):
            after = _words(low, first + step + PLAIN_LETTERS) if size == _LETTERS[0] else None
            keys[chosen, step] = _keys(_words(low, first + step), after, size)
    return Known(keys, place, _words(low, start), _words(low, start + length - PLAIN_LETTERS), length)


def _by_size(length: Int64) -> Iterator[tuple[int, Int64]]:
    """Yield for each size of stretches the numbers of the fields that are known by such."""
    upper = np.inf
    for size in _LETTERS:
        least = size + STEP - 1
        yield size, np.flatnonzero((length >= least) & (length < upper))
        upper = least


def _keys(words: UInt64, after: UInt64 | None, size: int) -> UInt64:
    """Return the hashes of stretches of so many letters: the first eight as numbers, and of 16 those after them."""
    if size < PLAIN_LETTERS:
        words = words & np.uint64((1 << 8 * size) - 1)
    keys: UInt64 = words * _FACTOR
    if after is not None:
        keys += after
        keys *= _FACTOR
    return keys


def _words(low: npt.NDArray[np.uint8], start: Int64) -> UInt64:
    """Return the eight letters from each place as a number, uint64 ``[len(start)]``.

    Args:
        low: Last bytes of letters (see :class:`xmtf.mixture.select.letters.Letters`), and a few bytes more.
        start: Places.
    """
    every: UInt64 = np.ndarray((len(low) - PLAIN_LETTERS + 1,), "<u8", low, strides=(1,))
    return every[start].astype(np.uint64)


@dataclass(frozen=True, slots=True)
class PlainFilter:
    """What the fields are known by that are known by stretches of one size.

    Attributes:
        keys: Hashes of their stretches, uint64 ``[4 * f]``, sorted.
        of: Four times the number of the field, plus how far after its place this one begins, int64 ``[4 * f]``.
        first: Where the keys of each bucket begin; a bucket has the same first bits, int64 ``[2 ** bits + 1]``.
        near: Filter of the keys (:func:`near_filter`).
        place: See :class:`Known`, ``[f]``.
        head: Likewise.
        tail: Likewise.
        length: Likewise.
        enough: bool ``[f]``: a text with this field may count; else it has to hold another one, too.
    """

    keys: UInt64
    of: Int64
    first: Int64
    near: npt.NDArray[np.bool_]
    place: Int64
    head: UInt64
    tail: UInt64
    length: Int64
    enough: npt.NDArray[np.bool_]

    @classmethod
    def make(cls, known: Known, enough: npt.NDArray[np.bool_]) -> PlainFilter:
        """Return the filter of some fields."""
        keys = known.keys.ravel()
        order = np.argsort(keys)
        keys = keys[order]
        bits = max(1, len(keys).bit_length())
        counts = np.bincount((keys >> np.uint64(64 - bits)).view(np.int64), minlength=2**bits)
        first = np.append(0, np.cumsum(counts))
        near = near_filter(keys, min(_MOST_BITS, max(10, (_PLACES * len(keys)).bit_length())))
        return cls(keys, order, first, near, known.place, known.head, known.tail, known.length, enough)

    def find(self, letters: bytes, size: int) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """Return where fields may be, as places of letters, and whether each is enough.

        Args:
            letters: As :class:`xmtf.mixture.select.letters.LastBytes` has them, and 16 bytes more.
            size: Letters of a stretch.
        """
        if not len(self.keys):
            return np.empty(0, np.int64), np.empty(0, bool)
        count = (len(letters) - _LETTERS[0]) // STEP
        words, after = (
            np.ndarray((count,), "<u8", letters, offset=offset, strides=(STEP,)) for offset in (0, PLAIN_LETTERS)
        )
        keys = _keys(words, after if size == _LETTERS[0] else None, size)
        sampled = pass_filter(self.near, keys)
        keys = keys[sampled]
        bucket = (keys >> np.uint64(64 - (len(self.first) - 1).bit_length() + 1)).view(np.int64)
        at, index = ranges(self.first[bucket], self.first[bucket + 1] - self.first[bucket])
        same = self.keys[index] == keys[at]
        field, shift = np.divmod(self.of[index[same]], STEP)
        start = sampled[at[same]] * STEP - shift - self.place[field]
        every: UInt64 = np.ndarray((len(letters) - PLAIN_LETTERS,), "<u8", letters, strides=(1,))
        stands = (start >= 0) & (start + self.length[field] < len(every))
        stands &= every.take(start, mode="clip") == self.head[field]
        stands &= every.take(start + self.length[field] - PLAIN_LETTERS, mode="clip") == self.tail[field]
        return start[stands], self.enough[field[stands]]


@dataclass(frozen=True, slots=True)
class PlainFilters:
    """Filters of all fields of eight letters or more.

    Attributes:
        filters: One for each size of stretches, the largest first.
    """

    filters: tuple[PlainFilter, ...]

    @classmethod
    def of(cls, known: Known, enough: npt.NDArray[np.bool_]) -> PlainFilters:
        """Return the filters of some fields; ``enough`` is as in :class:`PlainFilter`."""
        return cls(tuple(PlainFilter.make(known.take(chosen), enough[chosen]) for _, chosen in _by_size(known.length)))

    def may_hold(self, texts: pa.Array, *, dense: bool = True) -> Int64:
        """Return the numbers of the texts that may hold a field that is enough, or two.

        Args:
            texts: Strings without nulls.
            dense: Whether all texts with ideographs may: there are fields of fewer letters.
        """
        sizes = np.cumsum(np.asarray(pc.binary_length(texts)), dtype=np.int64)
        found, first = [np.empty(0, np.int64)], 0
        while first < len(texts):
            before = int(sizes[first - 1]) if first else 0
            end = max(first + 1, int(np.searchsorted(sizes, before + _CHUNK_BYTES, side="right")))
            found.append(first + self._may_hold(texts.slice(first, end - first), dense))
            first = end
        return np.concatenate(found)

    def _may_hold(self, texts: pa.Array, dense: bool) -> Int64:
        is_ascii = pc.string_is_ascii(texts)
        in_ascii = np.asarray(is_ascii, dtype=bool)
        may_hold = np.zeros(len(texts), bool)
        if in_ascii.any():
            letters = ended(texts.filter(is_ascii), _BETWEEN).translate(_TABLE, _DELETED)
            may_hold[np.flatnonzero(in_ascii)[self._look(letters)]] = True
        if not in_ascii.all():
            others = np.flatnonzero(~in_ascii)
            read = last_bytes(texts.take(pa.array(others)))
            may_hold[others[self._look(read.letters)]] = True
            if dense:
                may_hold[others[read.dense]] = True
        return np.flatnonzero(may_hold)

    def _look(self, letters: bytes) -> Int64:
        """Return the numbers of the texts that may hold a field, of letters as :class:`LastBytes` has them."""
        padded = letters + bytes(_LETTERS[0])
        found = [filter_.find(padded, size) for size, filter_ in zip(_LETTERS, self.filters, strict=True)]
        places, enough = (np.concatenate(part) for part in zip(*found, strict=True))
        ends = np.flatnonzero(np.frombuffer(letters, np.uint8) == 0)
        counts = np.bincount(np.searchsorted(ends, places), weights=np.where(enough, 2, 1))
        return np.flatnonzero(counts > 1)


def near_filter(hashes: UInt64, bits: int) -> npt.NDArray[np.bool_]:
    """Return which numbers of so many bits are the first, or the next, bits of some hash, bool ``[2 ** bits]``."""
    near = np.zeros(2**bits, bool)
    near[hashes >> np.uint64(64 - bits)] = True
    near[(hashes << np.uint64(bits)) >> np.uint64(64 - bits)] = True
    return near


def pass_filter(near: npt.NDArray[np.bool_], hashes: UInt64) -> Int64:
    """Return the places of the hashes that may be among those of a filter: of others about one in a thousand."""
    bits = len(near).bit_length() - 1
    unread = np.uint64(64 - bits)
    places = np.flatnonzero(near.take((hashes >> unread).view(np.int64), mode="clip"))
    second = hashes.take(places)
    second <<= np.uint64(bits)
    second >>= unread
    return places[near.take(second.view(np.int64), mode="clip")]


def ranges(first: Int64, count: Int64) -> tuple[Int64, Int64]:
    """Return all numbers of ranges, and which range each is of.

    >>> ranges(np.array([5, 9]), np.array([2, 1]))
    (array([0, 0, 1]), array([5, 6, 9]))
    """
    ends = np.cumsum(count)
    of = np.repeat(np.arange(len(count)), count)
    return of, np.repeat(first - (ends - count), count) + np.arange(len(of))
