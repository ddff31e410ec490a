"""One 128-bit key for each example: it deduplicates and shuffles at once.

The key is a seeded mix of the hashes of inputs and targets. Equal examples have equal keys, so they
stand side by side once rows are sorted by key; different examples fall in an order that has nothing to
do with where they come from, so sorting by key is also the global shuffle. Neither needs more than the
keys in memory, and neither depends on which worker rendered which rows.

::

    inputs   targets     key (seed 0)
    "1 + 1"  "2"     ->  k1
    "1 + 1"  "two"   ->  k2
    "1 + 1"  "2"     ->  k1      dropped as a duplicate of the first
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

__all__ = ["Keys", "UInt64", "concat_keys", "hash_strings", "mix", "row_keys"]

UInt64 = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHORT = 48
"""Bytes of texts, with their places, that are on average short enough to be the same again and again."""
_LOOKED_AT = 2**12
"""Texts among which some repeat if half of all do, unless there are very many of them."""
_BLOCK = 2**14
"""Texts hashed together: what they take in the meantime stays in the processor's cache."""
_SAMPLE = np.uint64(0xD1B54A32D192ED03)


@dataclass(frozen=True, slots=True)
class Keys:
    """128-bit keys of ``n`` rows.

    Attributes:
        high: uint64 ``[n]``; rows are shuffled by sorting on it.
        low: uint64 ``[n]``; tells apart rows with the same ``high``.
    """

    high: UInt64
    low: UInt64

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Return the keys of the chosen rows."""
        return Keys(self.high[rows], self.low[rows])

    def order(self) -> npt.NDArray[np.int64]:
        """Return the row numbers in the order of the keys; equal keys stay in the order of the rows."""
        order = np.argsort(self.high, kind="stable")
        high, low = self.high[order], self.low[order]
        same = high[1:] == high[:-1]
        if np.any(same & (low[1:] != low[:-1])):
            return np.lexsort((self.low, self.high))
        return order

    def is_first(self, order: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return for each row, taken in ``order`` (of :meth:`order`), whether its key did not occur before."""
        high, low = self.high[order], self.low[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        return first

    def sample_keys(self) -> UInt64:
        """Return a second order, independent of the shuffle: a sample is the rows with the smallest of these."""
        return mix(self.low ^ _SAMPLE)


def mix(values: UInt64) -> UInt64:
    """Return a bijective scramble of 64-bit values (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))


def hash_strings(column: pa.ChunkedArray) -> UInt64:
    """Return the 128-bit hashes of a column of strings, uint64 ``[n, 2]`` (xxh3 of the UTF-8 bytes).

    Args:
        column: Arrow (chunked) array of strings without nulls.
    """
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    if sum(chunk.nbytes for chunk in chunks) < _SHORT * len(column):  # answers: few different ones
        texts = pa.chunked_array(chunks).combine_chunks()
        if _may_repeat(texts):
            encoded = texts.dictionary_encode()
            if 2 * len(encoded.dictionary) < len(column):
                hashes: UInt64 = hash_strings(encoded.dictionary)[np.asarray(encoded.indices)]
                return hashes
    return np.concatenate([np.empty((0, 2), np.uint64), *(_hash_chunk(chunk) for chunk in chunks if len(chunk))])


def _may_repeat(texts: pa.Array) -> bool:
    """Return whether a few of many texts already repeat: a look at all of them would otherwise be for nothing."""
    if len(texts) < 2 * _LOOKED_AT:
        return True
    step = len(texts) // _LOOKED_AT
    some = texts.take(pa.array(np.arange(0, step * _LOOKED_AT, step)))
    return len(some.dictionary_encode().dictionary) < 0.95 * _LOOKED_AT


def _hash_chunk(chunk: Any) -> UInt64:
    wide = pa.types.is_large_string(chunk.type)
    _, offset_buffer, data = chunk.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64 if wide else np.int32)
    offsets = offsets[chunk.offset : chunk.offset + len(chunk) + 1]
    view = memoryview(data if data is not None else b"")
    digest = xxhash.xxh3_128_digest
    found = np.empty((len(chunk), 2), np.uint64)
    for first in range(0, len(chunk), _BLOCK):
        places = offsets[first : first + _BLOCK + 1]
        texts, (start, *ends) = bytes(view[places[0] : places[-1]]), (places - places[0]).tolist()
        digests = b"".join([digest(texts[start:end]) for start, end in zip([start, *ends], ends, strict=False)])
        found[first : first + len(ends)] = np.frombuffer(digests, ">u8").reshape(-1, 2)
    return found


def row_keys(inputs: UInt64, targets: UInt64, seed: int, origin: UInt64 | None = None) -> Keys:
    """Return the keys of rows.

    Args:
        inputs: Hashes of the inputs, ``[n, 2]``.
        targets: Hashes of the targets, ``[n, 2]``.
        seed: Seed of the shuffle.
        origin: Hash of where each row comes from, ``[n]``; given, equal examples from different places have
            different keys, so they are shuffled apart and none counts as a duplicate.
    """
    salt = mix(np.array([seed], np.uint64) + _GOLDEN)
    high = mix(inputs[:, 0] ^ mix(targets[:, 0] + salt))
    low = mix(inputs[:, 1] + mix(targets[:, 1] ^ _GOLDEN))
    if origin is not None:
        high, low = mix(high ^ origin), mix(low + origin)
    return Keys(high, low)


def concat_keys(parts: list[Keys]) -> Keys:
    """Return keys one after the other."""
    empty = np.empty(0, np.uint64)
    return Keys(
        np.concatenate([empty, *(part.high for part in parts)]), np.concatenate([empty, *(part.low for part in parts)])
    )
