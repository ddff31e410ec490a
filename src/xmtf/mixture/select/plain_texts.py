"""Which texts can hold a field at all: a quick look at those in ASCII, before their letters are compared.

Eight letters in ASCII are one 64-bit number. So the letters of a text are taken out by one table, and every stretch of
eight is looked up as it is in memory. Only texts with the anchor of a field and up to eight more of its letters are
looked at closely.

::

    text      "Did it rain?"     letters  d i d i t r a i n
    field     "it rained"        anchor   i t r a i n e d        not in it
"""

from __future__ import annotations

import string
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64

__all__ = ["PLAIN_LETTERS", "PlainFilter", "beside_anchor", "near_filter", "pass_filter", "plain_words", "ranges"]

PLAIN_LETTERS = 8
"""Letters of a number."""
_KEPT = string.ascii_lowercase + string.digits
_BETWEEN = "\0"
_TABLE = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_DELETED = bytes(set(range(256)) - set((_KEPT + string.ascii_uppercase + _BETWEEN).encode()))
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_CHUNK_BYTES = 2**17
_MOST_BITS, _PLACES = 22, 32


def plain_words(plain: npt.NDArray[np.uint8], start: Int64) -> UInt64:
    """Return the eight letters from each place as a number, uint64 ``[len(start)]``; 0 where one is not in ASCII.

    Args:
        plain: Letters, 0 for those that are not in ASCII (see :class:`xmtf.mixture.select.letters.Letters`).
        start: Places; behind the last letter there is none.
    """
    if not len(start):
        return np.empty(0, np.uint64)
    letters = np.append(plain, np.zeros(PLAIN_LETTERS, np.uint8))
    every: UInt64 = np.ndarray((len(plain) + 1,), "<u8", letters, strides=(1,))
    words = every[np.minimum(start, len(plain))].astype(np.uint64)
    return np.where((words.view(np.uint8).reshape(-1, PLAIN_LETTERS) > 0).all(axis=1), words, np.uint64(0))


@dataclass(frozen=True, slots=True)
class PlainFilter:
    """The anchors in ASCII of all fields.

    Attributes:
        words: As numbers, uint64 ``[a]``, sorted.
        alongside: Eight letters of the field that begin ``delta`` letters after the anchor, uint64 ``[a]``.
        delta: int64 ``[a]``.
        near: Their filter (:func:`near_filter`).
    """

    words: UInt64
    beside: UInt64
    delta: Int64
    near: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, words: UInt64, beside: UInt64, delta: Int64) -> PlainFilter:
        """Return the filter of some fields; those of which a number is 0 are not in ASCII."""
        plain = (words > 0) & (beside > 0)
        words, beside, delta = words[plain], beside[plain], delta[plain]
        order = np.argsort(words, kind="stable")
        bits = min(_MOST_BITS, max(10, (_PLACES * len(words)).bit_length()))
        return cls(words[order], beside[order], delta[order], near_filter(words * _FACTOR, bits))

    def may_hold(self, texts: pa.Array) -> Int64:
        """Return the numbers of the texts that may hold a field: of all that are not in ASCII, too.

        Args:
            texts: Strings without nulls.
        """
        sizes = np.cumsum(np.asarray(pc.binary_length(texts)), dtype=np.int64)
        found, first = [np.empty(0, np.int64)], 0
        while first < len(texts):
            before = int(sizes[first - 1]) if first else 0
            end = max(first + 1, int(np.searchsorted(sizes, before + _CHUNK_BYTES, side="right")))
            found.append(first + self._may_hold(texts.slice(first, end - first)))
            first = end
        return np.concatenate(found)

    def _may_hold(self, texts: pa.Array) -> Int64:
        plain = np.asarray(pc.string_is_ascii(texts), dtype=bool)
        if not plain.all():
            texts = texts.filter(pa.array(plain))
        may_hold = ~plain
        may_hold[np.flatnonzero(plain)[self._look(texts)]] = True
        return np.flatnonzero(may_hold)

    def _look(self, texts: pa.Array) -> Int64:
        """Return the numbers of those that may hold a field, of texts in ASCII."""
        letters = _ended(texts).translate(_TABLE, _DELETED)
        count = len(letters) - PLAIN_LETTERS + 1
        if count <= 0 or not len(self.words):
            return np.empty(0, np.int64)
        words: UInt64 = np.ndarray((count,), "<u8", letters, strides=(1,))
        places = pass_filter(self.near, words * _FACTOR)
        near = words[places]
        low = np.searchsorted(self.words, near)
        same = self.words.take(low, mode="clip") == near
        places, near, low = places[same], near[same], low[same]
        of, index = ranges(low, np.searchsorted(self.words, near, side="right") - low)
        other = places[of] + self.delta[index]
        inside = (other >= 0) & (other < count)
        places, other, index = places[of[inside]], other[inside], index[inside]
        places = places[words[other] == self.beside[index]]
        ends = np.flatnonzero(np.frombuffer(letters, np.uint8) == 0)
        return np.unique(np.searchsorted(ends, places)).astype(np.int64)


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


def _ended(texts: pa.Array) -> bytes:
    """Return the texts one after the other, :data:`_BETWEEN` after each and nowhere else."""
    if pc.any(pc.match_substring(texts, _BETWEEN)).as_py():
        texts = pc.replace_substring(texts, _BETWEEN, " ")
    end, between = (pa.scalar(text, texts.type) for text in ("", _BETWEEN))
    joined = pc.binary_join_element_wise(texts, end, between)
    data, size = joined.buffers()[2], pc.sum(pc.binary_length(joined)).as_py()
    return b"" if data is None else bytes(memoryview(data)[:size])


def beside_anchor(length: Int64, offset: Int64) -> Int64:
    """Return how far from the anchor the other eight letters of a field begin: as far as eight, where there is room.

    >>> beside_anchor(np.array([20, 20, 11, 8]), np.array([0, 12, 1, 0])).tolist()
    [8, -8, 2, 0]
    """
    after, before = np.minimum(8, length - PLAIN_LETTERS - offset), np.minimum(8, offset)
    return np.where(after >= before, np.maximum(after, 0), -before).astype(np.int64)


def ranges(first: Int64, count: Int64) -> tuple[Int64, Int64]:
    """Return all numbers of ranges, and which range each is of.

    >>> ranges(np.array([5, 9]), np.array([2, 1]))
    (array([0, 0, 1]), array([5, 6, 9]))
    """
    ends = np.cumsum(count)
    of = np.repeat(np.arange(len(count)), count)
    return of, np.repeat(first - (ends - count), count) + np.arange(len(of))
