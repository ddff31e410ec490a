"""Texts as their letters alone, so that case, spacing and punctuation do not hide that two texts are the same.

Kept are letters, vowel signs and digits, each in one form: without accents and points, case folded, compatibility forms
as plain ones, digits as ASCII, the letters that Arabic, Persian and Urdu write differently as one. What is between
words is only remembered as the place where a word starts, so scripts with and without spaces are read alike.

::

    texts     "Die Kätze,", "SASS da"
    letters    d i e k a t z e s a s s d a
    starts     x     x         x       x

The hash of any stretch of letters is a difference of two sums, so it costs the same for every length.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64, mix

__all__ = ["NORMALISATION", "LastBytes", "Letters", "ended", "last_bytes", "letters_of"]

Int64 = npt.NDArray[np.int64]

NORMALISATION = f"2 unicode {unicodedata.unidata_version}"
"""Version of what a letter is; part of every fingerprint that depends on it."""

_BETWEEN = "\ufdd0"
"""Stands between texts; a noncharacter, taken out of the texts themselves."""
_CODES = 0x32400
"""Code points looked at; those above are no letters."""
_STRETCH = 256
_END, _NO_LETTER = 0, 0xFF
"""What stands for the end of a text, and for what is no letter, among last bytes of letters."""
_LETTER, _KIND, _SLOW, _UNKNOWN = np.uint8(1), np.uint8(6), np.uint8(8), np.uint8(16)
_FIRST, _SECOND = np.uint8(32), np.uint8(64)
"""Bits of what is known about a code point."""
_BASE = 0x9E3779B97F4A7C15
_INVERSE = pow(_BASE, -1, 2**64)

_ALIKE = {
    "ı": "i", "ى": "ي", "ی": "ي", "ې": "ي", "ئ": "ي", "ے": "ي", "ک": "ك", "أ": "ا", "إ": "ا", "آ": "ا", "ٱ": "ا",
    "ؤ": "و", "ة": "ه", "ۀ": "ه", "ہ": "ه", "ھ": "ه", "ە": "ه", "ۂ": "ه", "ۃ": "ه",
}  # fmt: skip
_IDEOGRAPH = 2
_DENSE = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, _CODES - 1))
"""Ideographs: one says as much as two letters."""
_UNSPACED = (*_DENSE, (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF))
"""Scripts without spaces between words: Han, Thai, Lao, Tibetan, Burmese, Khmer, kana."""
_ITSELF = ((0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0x20000, _CODES - 1))
"""Ideographs and Korean syllables, which have one form; known without looking at each."""
_POINTS = (
    (0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670),
    (0x093C, 0x093C), (0x09BC, 0x09BC), (0x0A3C, 0x0A3C), (0x0B3C, 0x0B3C), (0x3099, 0x309C), (0xFE00, 0xFE0F),
    (0xFF9E, 0xFF9F),
)  # fmt: skip
"""Accents, Hebrew and Arabic points, the stretching of Arabic letters, dots of Indic letters and voice marks of kana:
the same word is written with and without, or as one character with its letter."""
_JAMO = ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97C), (0xD7B0, 0xD7FB))
"""Parts of Korean syllables."""


@dataclass(frozen=True, slots=True)
class Letters:
    """The ``n`` letters of some texts, one after the other.

    Attributes:
        ends: Number of letters up to the end of each text, int64 ``[texts]``.
        starts: bool ``[n + 1]``: a word may start here; true after the last letter.
        kinds: int8 ``[n]``: 1 in scripts without spaces, 2 for their ideographs, else 0.
        sums: uint64 ``[n + 1]``: sums of hashes; see :meth:`hashes`.
        low: uint8 ``[n]``: the last byte of each letter, as in :class:`LastBytes`; only where it was asked for.
    """

    ends: Int64
    starts: npt.NDArray[np.bool_]
    kinds: npt.NDArray[np.int8]
    sums: UInt64
    low: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def has_ideographs(self) -> bool:
        """Whether any letter is an ideograph."""
        return bool(self.kinds.max(initial=0) == _IDEOGRAPH)

    def text_of(self, places: Int64) -> Int64:
        """Return the text that each of these letters is in."""
        return np.searchsorted(self.ends, places, side="right").astype(np.int64)

    def weights(self, start: Int64, end: Int64) -> Int64:
        """Return how much the stretches of letters count, ideographs twice, int64 ``[len(start)]``."""
        if not self.has_ideographs:
            return end - start
        return end - start + _between(np.flatnonzero(self.kinds == _IDEOGRAPH), start, end)

    def words(self, start: Int64, end: Int64, *, spaced: bool = True) -> Int64:
        """Return how many words begin in the stretches of letters, int64 ``[len(start)]``.

        Args:
            start: First letter of each.
            end: Its last letter, plus one.
            spaced: Only in scripts that put spaces between words; in others each letter begins one.
        """
        begins = self.starts[:-1] & (self.kinds == 0) if spaced else self.starts[:-1]
        return _between(np.flatnonzero(begins), start, end)

    def hashes(self, start: Int64, length: Int64 | int) -> UInt64:
        """Return the hashes of the stretches of ``length`` letters from ``start``, uint64 ``[len(start)]``."""
        sums: UInt64 = self.sums[start + length] - self.sums[start]
        return sums * _powers(len(self) + 1, _BASE)[start]

    def all_hashes(self, length: int) -> UInt64:
        """Return the hash of the stretch of ``length`` letters from each place that has as many."""
        count = max(0, len(self) - length + 1)
        hashes = self.sums[length : length + count] - self.sums[:count]
        hashes *= _powers(len(self) + 1, _BASE)[:count]
        return hashes


class LastBytes(NamedTuple):
    """The letters of some texts as one byte each: two stretches of letters that are the same have the same bytes.

    Attributes:
        letters: The last byte of each letter, its ASCII where it has one; 0 after each text and nowhere else.
        dense: Numbers of the texts with ideographs, int64.
    """

    letters: bytes
    dense: Int64


def last_bytes(texts: pa.Array) -> LastBytes:
    """Return the letters of texts as one byte each.

    Args:
        texts: Strings without nulls.

    >>> last_bytes(pa.array(["Ab, ç", "дом"])).letters.split(bytes(1))
    [b'abc', b'4><', b'']
    """
    seen = _look_at(ended(texts, _BETWEEN).decode())
    dense = np.empty(0, np.int64)
    if seen.all & np.uint8(2 * _IDEOGRAPH):
        are_dense = np.flatnonzero((seen.about & _KIND) == 2 * _IDEOGRAPH)
        dense = np.unique(np.searchsorted(seen.ends, are_dense)).astype(np.int64)
    low = _tables().low.take(seen.codes, mode="clip")
    return LastBytes(low.tobytes().translate(None, bytes([_NO_LETTER])), dense)


def letters_of(texts: Sequence[str] | pa.Array, *, with_low: bool = False) -> Letters:
    """Return the letters of texts; ``with_low`` also their last bytes."""
    tables = _tables()
    joined = ended(texts, _BETWEEN).decode() if isinstance(texts, pa.Array) else _ended_list(texts)
    seen = _look_at(joined)
    codes, about = seen.codes, seen.about
    at = np.flatnonzero((about & _LETTER).view(np.bool_))
    starts = np.ones(len(at) + 1, dtype=bool)
    np.greater(at[1:] - at[:-1], 1, out=starts[1:-1])
    if seen.all & _KIND:
        kinds = ((about.take(at) & _KIND) >> 1).view(np.int8)
        starts[:-1] |= kinds > 0
        starts[1:] |= kinds > 0
    else:
        kinds = np.zeros(len(at), np.int8)
    sums = np.zeros(len(at) + 1, np.uint64)
    chosen = codes.take(at)
    hashes = tables.hashes.take(chosen, mode="clip")
    hashes *= _powers(len(at), _INVERSE)[: len(at)]
    np.cumsum(hashes, out=sums[1:])
    ends = np.searchsorted(at, seen.ends).astype(np.int64)
    return Letters(ends, starts, kinds, sums, tables.low.take(chosen, mode="clip") if with_low else None)


def ended(texts: pa.Array, end: str) -> bytes:
    """Return the texts one after the other in UTF-8, ``end`` after each and nowhere else.

    Args:
        texts: Strings without nulls.
        end: One character; a space takes its place in the texts.
    """
    nothing, scalar = pa.scalar("", texts.type), pa.scalar(end, texts.type)
    joined = pc.binary_join_element_wise(texts, nothing, scalar)
    data, size = joined.buffers()[2], pc.sum(pc.binary_length(joined)).as_py()
    together = b"" if data is None else bytes(memoryview(data)[:size])
    if together.count(end.encode()) == len(texts):
        return together
    return ended(pc.replace_substring(texts, end, " "), end)


def _ended_list(texts: Sequence[str]) -> str:
    joined = _BETWEEN.join([*texts, ""])
    if joined.count(_BETWEEN) == len(texts):
        return joined
    return _BETWEEN.join([*(text.replace(_BETWEEN, " ") for text in texts), ""])


class _Seen(NamedTuple):
    """Code points of texts, ``[n]``, what is known about each, and about any, and where each text ends."""

    codes: npt.NDArray[np.int64]
    about: npt.NDArray[np.uint8]
    all: np.uint8
    ends: Int64


def _look_at(joined: str) -> _Seen:
    """Look at texts, each with :data:`_BETWEEN` behind it; those of them are composed that it may change."""
    codes = _codes_of(joined)
    about = _tables().look_at(codes)
    seen = np.bitwise_or.reduce(about, initial=0)
    ends = np.flatnonzero(codes == ord(_BETWEEN))
    if seen & (_SLOW | _SECOND):
        composed = _with_composed(joined, about, ends)
        if composed != joined:
            codes = _codes_of(composed)
            about = _tables().look_at(codes)
            seen = np.bitwise_or.reduce(about)
            ends = np.flatnonzero(codes == ord(_BETWEEN))
    return _Seen(codes, about, seen, ends)


def _with_composed(joined: str, about: npt.NDArray[np.uint8], ends: Int64) -> str:
    """Return the texts, those that it may change in the form in which letters are single."""
    second = np.flatnonzero(about & _SECOND)
    pairs = second[(about[np.maximum(second - 1, 0)] & _FIRST) > 0]
    slow = np.append(np.flatnonzero(about & _SLOW), pairs)
    if not len(slow):
        return joined
    texts = joined.split(_BETWEEN)
    for number in np.unique(np.searchsorted(ends, slow)).tolist():
        texts[number] = _composed(texts[number])
    return _BETWEEN.join(texts)


def _between(places: Int64, start: Int64, end: Int64) -> Int64:
    """Return how many of the ascending places are in each stretch, int64 ``[len(start)]``."""
    return (np.searchsorted(places, end) - np.searchsorted(places, start)).astype(np.int64)


def _codes_of(joined: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(joined.encode("utf-32-le", "replace"), np.uint32).astype(np.int64)


def _composed(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    folded = text.casefold()
    return text if folded == text else unicodedata.normalize("NFKC", folded)


@dataclass(frozen=True, slots=True)
class _Tables:
    """What each code point is; found out for those that texts hold, a stretch of :data:`_STRETCH` at a time.

    Attributes:
        hashes: uint64 ``[codes]``, 0 where it is not a letter.
        about: uint8 ``[codes]``: :data:`_LETTER`; its kind times two (see :class:`Letters`); :data:`_SLOW` where it may
            be several letters, or one together with what is before it; :data:`_FIRST` and :data:`_SECOND` where it is
            one with the next, or the previous, of the other kind; :data:`_UNKNOWN`.
        low: uint8 ``[codes]``: the last byte of its letter, but for the two values that are not letters.
    """

    hashes: UInt64
    about: npt.NDArray[np.uint8]
    low: npt.NDArray[np.uint8]

    def look_at(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return what is known about code points, all of it."""
        about = self.about.take(codes, mode="clip")
        if np.bitwise_or.reduce(about, initial=0) & _UNKNOWN:
            for stretch in np.unique(codes[(about & _UNKNOWN) > 0] // _STRETCH).tolist():
                self._learn(stretch * _STRETCH, min(_CODES, (stretch + 1) * _STRETCH))
            about = self.about.take(codes, mode="clip")
        return about

    def _learn(self, first: int, end: int) -> None:
        """Find out about the code points from ``first`` to before ``end``."""
        points, firsts, seconds, slow = _points_and_parts()
        letters, about = np.zeros(end - first, np.uint64), np.zeros(end - first, np.uint8)
        if any(low <= first and end - 1 <= high for low, high in _ITSELF):
            letters[:] = np.arange(first, end)
        for code in range(first, end) if not letters.any() else ():
            plain = chr(code) if _is_one_of(code, _ITSELF) else _plain(chr(code), points)
            if code not in points:
                letters[code - first] = ord(plain[0]) if plain else 0
            about[code - first] = _SLOW if len(plain) > 1 or code in slow else 0
            about[code - first] |= (_FIRST if code in firsts else 0) | (_SECOND if code in seconds else 0)
        for kind, ranges in ((1, _UNSPACED), (_IDEOGRAPH, _DENSE)):
            for low, high in ranges:
                part = slice(max(0, low - first), max(0, high + 1 - first))
                about[part] = (about[part] & ~_KIND) | np.uint8(2 * kind)
        about[letters > 0] |= _LETTER
        self.hashes[first:end] = np.where(letters > 0, mix(letters), np.uint64(0))
        self.about[first:end] = about
        low = np.clip(letters & np.uint64(0xFF), _END + 1, _NO_LETTER - 1)
        self.low[first:end] = np.where(letters > 0, low, _NO_LETTER)


@cache
def _tables() -> _Tables:
    about = np.full(_CODES + 1, _UNKNOWN, np.uint8)
    about[_CODES] = 0  # stands for all that are larger
    low = np.full(_CODES + 1, _NO_LETTER, np.uint8)
    tables = _Tables(np.zeros(_CODES + 1, np.uint64), about, low)
    tables.look_at(np.array([ord(_BETWEEN)]))
    low[ord(_BETWEEN)] = _END
    return tables


def _is_one_of(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


@cache
def _points_and_parts() -> tuple[set[int], set[int], set[int], set[int]]:
    """Return the points, then of characters that are one with others: the first, the second, and those always slow."""
    points = {code for first, last in _POINTS for code in range(first, last + 1)}
    pairs = {pair for pair in _pairs() if pair[1] not in points}
    # only directly behind its first part does a character without a combining class become one with it
    slow = {second for _, second in pairs if unicodedata.combining(chr(second))}
    slow |= {code for first, last in _JAMO for code in range(first, last + 1)} - points
    seconds = {second for _, second in pairs} - slow
    return points, {first for first, second in pairs if second in seconds}, seconds, slow


def _plain(char: str, points: set[int]) -> str:
    """Return the letters that a character stands for: none, one, or several where it has to be looked at closer."""
    kind = unicodedata.category(char)
    if unicodedata.decomposition(char):
        char = "".join(each for each in unicodedata.normalize("NFKD", char) if ord(each) not in points)
        if len(char) > 1 and kind in ("Mc", "Mn"):  # vowel signs in two parts
            char = unicodedata.normalize("NFKC", char)
    elif kind[0] not in "LMN":
        return ""
    if kind[0] == "L" or len(char) > 1:
        char = "".join(each for each in char.casefold() if ord(each) not in points)
    return "".join(_one_form(each) for each in char)


def _one_form(char: str) -> str:
    kind = unicodedata.category(char)
    if kind == "Nd":
        return str(unicodedata.decimal(char))
    return _ALIKE.get(char, char) if kind[0] in "LMN" else ""


def _pairs() -> set[tuple[int, int]]:
    """Return the letters and signs that may make one character, as pairs."""
    found = set[tuple[int, int]]()
    for code in range(0x0900, 0x3400):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add((int(parts[0], 16), int(parts[1], 16)))
    return found


_kept_powers: dict[int, UInt64] = {}


def _powers(count: int, base: int) -> UInt64:
    """Return the powers 0, 1, ... of a base modulo 2 ** 64, at least ``count``; kept for the next time."""
    kept = _kept_powers.get(base)
    if kept is None or len(kept) < count:
        factors = np.full(1 << max(10, count.bit_length()), base, np.uint64)
        factors[0] = 1
        kept = _kept_powers[base] = np.cumprod(factors)
    return kept
