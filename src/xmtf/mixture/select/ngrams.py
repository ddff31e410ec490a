"""Runs of words that texts share: how an evaluation text is recognised inside another prompt.

Words are lower-cased runs of letters, marks and digits; in scripts that put no space between words,
every character with its marks counts as one, and a run that holds such a character has at least
:data:`UNSPACED_LENGTH` of these. A run is known by a 64-bit hash.

::

    text      "The cat sat, the cat."      n = 3
    words      the cat sat the cat
    runs      (the cat sat) (cat sat the) (sat the cat)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64, hash_strings, mix

__all__ = ["HASHING", "UNSPACED_LENGTH", "WordRuns", "find_hashes", "string_values", "word_runs"]

HASHING = 5
"""Version of the hashes of runs, and of the files of a guard; unfinished work with other ones is redone."""

UNSPACED_LENGTH = 40
"""Words of a run with characters of a script without spaces, at least: fewer recur by chance."""

_NOT_WORD = r"[^\pL\pM\pN]+"
_UNSPACED = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\pM*)"
_ONE_UNSPACED = f"^{_UNSPACED}"
_FACTOR = 0x9E3779B97F4A7C15
_START = np.uint64(40)
"""Bits of a hash after its first 24."""


@dataclass(frozen=True, slots=True)
class WordRuns:
    """All runs of ``n`` words of some texts.

    Attributes:
        hashes: uint64 ``[r]``.
        text_of_run: int64 ``[r]``: the text that each run is in, ascending.
        start: int64 ``[r]``: number of its first word among ``words``.
        words: Words of all texts, one after the other.
        length: int64 ``[r]``: words of each run.
    """

    hashes: UInt64
    text_of_run: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    words: Any
    length: npt.NDArray[np.int64]

    def text(self, run: int) -> str:
        """Return a run as text."""
        return " ".join(self.words.slice(int(self.start[run]), int(self.length[run])).to_pylist())


def word_runs(texts: object, length: int) -> WordRuns:
    """Return the runs of ``length`` words of a column of strings; nulls and shorter texts have none.

    Runs with characters of scripts without spaces have at least :data:`UNSPACED_LENGTH` words.
    """
    lists = pc.split_pattern(_spaced(texts), " ")
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks() if lists.num_chunks != 1 else lists.chunk(0)
    text_of_word = np.asarray(pc.list_parent_indices(lists)).astype(np.int64)
    words = pc.list_flatten(lists)
    is_word = np.asarray(pc.binary_length(words)) > 0
    words, text_of_word = words.filter(pa.array(is_word)), text_of_word[is_word]
    encoded = words.dictionary_encode()
    hashes = hash_strings(encoded.dictionary)[:, 0][np.asarray(encoded.indices)]
    is_unspaced = np.asarray(pc.match_substring_regex(encoded.dictionary, _ONE_UNSPACED))[np.asarray(encoded.indices)]
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(is_unspaced)])
    parts = []
    for size in sorted({length, max(length, UNSPACED_LENGTH)}):
        count = max(0, len(hashes) - size + 1)
        same_text = text_of_word[:count] == text_of_word[size - 1 :] if count else np.empty(0, bool)
        has_unspaced = before[size:] > before[:count]
        start = np.flatnonzero(
            same_text & (has_unspaced if size > length else ~has_unspaced | (length >= UNSPACED_LENGTH))
        )
        parts.append((_run_hashes(hashes, size)[start], start.astype(np.int64), np.full(len(start), size)))
    runs, start, sizes = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(start, kind="stable")
    return WordRuns(runs[order], text_of_word[start[order]], start[order], words, sizes[order])


def _run_hashes(hashes: UInt64, length: int) -> UInt64:
    """Return the hash of each run of ``length`` words, uint64 ``[n - length + 1]``: a polynomial of their hashes.

    Runs of 1, 2, 4, 8, ... words are each made of two halves, and the wanted length is put together of those::

        13 = 1 + 4 + 8      h(a + b words) = h(a words) * factor ** b + h(the next b words)
    """
    if len(hashes) < length:
        return np.empty(0, np.uint64)
    doubled, size = hashes, 1
    runs, done = np.zeros(len(hashes), np.uint64), 0
    while True:
        if length & size:
            runs, done = _joined(runs, done, doubled, size), done + size
        if done == length:
            return mix(runs)
        doubled, size = _joined(doubled, size, doubled, size), 2 * size


def _joined(first: UInt64, first_length: int, second: UInt64, second_length: int) -> UInt64:
    """Return the hashes of runs of both lengths together, one for each start that has as many words."""
    following = second[first_length:]
    return first[: len(following)] * np.uint64(pow(_FACTOR, second_length, 2**64)) + following


def find_hashes(hashes: UInt64, among: UInt64) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which hashes are in a sorted list, and where: (positions in ``hashes``, positions in ``among``).

    ::

        hashes  5 9 7 9     among  2 7 9
        found   1 2 3       at     2 1 2
    """
    if len(among) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    near = np.flatnonzero(_starts(among)[hashes >> _START])
    at = np.minimum(np.searchsorted(among, hashes[near]), len(among) - 1)
    is_found = among[at] == hashes[near]
    return near[is_found], at[is_found]


def _starts(hashes: UInt64) -> npt.NDArray[np.bool_]:
    """Return which first 24 bits some hash has, bool ``[2 ** 24]``: most others need no search."""
    found = np.zeros(2**24, dtype=bool)
    found[hashes >> _START] = True
    return found


def _spaced(texts: object) -> object:
    lower = pc.utf8_lower(pc.fill_null(texts, ""))
    return pc.replace_substring_regex(pc.replace_substring_regex(lower, _NOT_WORD, " "), _UNSPACED, r" \1 ")


def string_values(table: pa.Table) -> Any:
    """Return all strings of a table of raw rows, also those inside lists and structs, as one column."""
    found: list[Any] = []
    for column in table.columns:
        for chunk in column.chunks:
            _collect(chunk, found)
    return pa.chunked_array(found, pa.string())


def _collect(array: Any, found: list[Any]) -> None:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        found.append(array.cast(pa.string()))
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            _collect(child, found)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        _collect(array.flatten(), found)
