"""All fields that suites ask about, found in training rows wherever they are in them.

A field counts alone if it has four words or 15 letters and is in at most :data:`RARE_ROWS` rows of its suite (rows of
one number in parallel subsets are one). Any other field counts only alongside another field of the same row::

    suite row   premise "It rained."      choice1 "The ground got wet."
    training    "The ground got wet."     counts: four words
                "It rained."              does not: two words
                "Why? It rained. Wet..."  does not: one field
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.mixture.select.asked_fields import ALONE_LETTERS, ANCHORS
from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64, Letters, letters_of
from xmtf.mixture.select.plain_texts import PlainFilters, pass_filter, ranges

__all__ = [
    "COMMON_ROWS",
    "COMMON_SHARE",
    "FILTER_BITS",
    "PAIR_LETTERS",
    "RARE_ROWS",
    "FieldHit",
    "FieldIndex",
    "is_short_second",
]

RARE_ROWS = 3
"""Rows of its suite that hold a field that counts alone, at most."""
PAIR_LETTERS, _SHORT_LETTERS, _BOTH_LETTERS = 8, 4, 12
"""Letters that a field of a pair needs, the other one, and both together; an ideograph counts as two."""
COMMON_ROWS, COMMON_SHARE = 50, 100
"""A field that is in more rows, or in more than one row of so many, says nothing, even alongside another."""
_OCCURRENCES = 64
"""Rows with a field that are looked at for another one next to it."""
_NEAR = 400
"""Letters that may be between the two fields of a pair."""
_PARTS_LETTERS = 30
"""Letters that two fields need together where both are parts of other fields, such as the options in a sentence."""
_STEPS = 3
"""Fields after a field that are looked at as the other one of a pair: they may be in each other."""
_CHUNK_CHARACTERS = 2**17
"""Characters looked at together; bounds the memory and keeps the numbers in the processor's cache."""
FILTER_BITS = 22
"""Bits of an anchor that are looked at before it is searched for, at most."""


class FieldHit(NamedTuple):
    """What a training text shares with an evaluation row.

    Attributes:
        source: Index of the evaluation slice.
        row: Number of its row.
        fields: Names of the shared fields.
        texts: These fields.
    """

    source: int
    row: int
    fields: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldIndex:
    """The fields of all suites; see :class:`xmtf.mixture.select.asked_fields.AskedFields`.

    Attributes:
        columns: By name. Of each field, those with an anchor first: ``length weight offset alone common
            phrase part short text``
            and ``first_of``, its first occurrence; of each occurrence ``source row item``; of each item, which is a row
            of a source, ``first_of_item``, its first field among ``field_of_item name_of_item``.
        hashes: Of each field.
        anchors: For each size of anchor the anchors of the fields, uint64, sorted.
        filters: For each size of anchor their filter, of :data:`FILTER_BITS` bits at most.
        texts: The fields as they are in the rows.
        names: Names of fields.
        plain: Tells which texts can hold a field.
    """

    columns: dict[str, Int64]
    hashes: UInt64
    anchors: tuple[UInt64, ...]
    filters: tuple[npt.NDArray[np.bool_], ...]
    texts: pa.Array
    names: list[str]
    plain: PlainFilters

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, texts: Sequence[str] | pa.Array) -> dict[int, FieldHit]:
        """Return for each text that holds a field, or two, of one evaluation row what it shares."""
        found: dict[int, FieldHit] = {}
        numbers, chosen = self._candidates(texts)
        for first, part in _chunks(chosen):
            letters = letters_of(part)
            for text, hit in self._find(letters).items():
                found[numbers[first + text]] = hit
        return found

    def find_every(self, texts: Sequence[str]) -> Iterator[tuple[int, FieldHit]]:
        """Yield (text, what it shares) once for every evaluation row that a text holds a field of, or two."""
        numbers, chosen = self._candidates(texts)
        for first, part in _chunks(chosen):
            letters, done = letters_of(part), set[tuple[int, int]]()
            field, start = self._places(letters)
            text = letters.text_of(start)
            is_alone, is_short = self.columns["alone"][field] > 0, self.columns["short"][field] > 0
            place, occurrence = self._rows_of(field[is_alone])
            alone = zip(
                text[is_alone][place].tolist(), occurrence.tolist(), field[is_alone][place].tolist(), strict=True
            )
            pairs = self._pairs(field, start, text, every=True)
            short = self._short_pairs(letters, field[is_short], start[is_short], text[is_short])
            for number, at, fields in (*((number, at, [each]) for number, at, each in alone), *pairs, *short):
                key = (number, int(self.columns["item"][at]))
                if key not in done:
                    done.add(key)
                    yield numbers[first + number], self._hit(at, fields)

    def _candidates(self, texts: Sequence[str] | pa.Array) -> tuple[list[int], list[str]]:
        """Return the numbers of the texts that may hold a field, and these texts."""
        if len(self.hashes) == 0:
            return [], []
        column = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.large_string())
        numbers = pa.array(self.plain.may_hold(column, dense=len(self.anchors[-1]) > 0))
        return numbers.to_pylist(), column.take(numbers).to_pylist()

    def _find(self, letters: Letters) -> dict[int, FieldHit]:
        field, start = self._places(letters)
        text = letters.text_of(start)
        is_alone = self.columns["alone"][field] > 0
        found: dict[int, FieldHit] = {}
        for first in np.flatnonzero(is_alone)[_firsts(text[is_alone])].tolist():
            found[int(text[first])] = self._hit(int(self.columns["first_of"][field[first]]), [int(field[first])])
        rest = ~is_alone & ~np.isin(text, text[is_alone])
        for number, occurrence, fields in self._pairs(field[rest], start[rest], text[rest]):
            found[number] = self._hit(occurrence, fields)
        rest &= self.columns["short"][field] > 0
        for number, occurrence, fields in self._short_pairs(letters, field[rest], start[rest], text[rest]):
            if number not in found:
                found[number] = self._hit(occurrence, fields)
        return found

    def _rows_of(self, field: Int64) -> tuple[Int64, Int64]:
        """Return the occurrences of fields, :data:`_OCCURRENCES` of each at most: (place of the field, occurrence)."""
        first = self.columns["first_of"][field]
        return ranges(first, np.minimum(self.columns["first_of"][field + 1] - first, _OCCURRENCES))

    def _short_pairs(
        self, letters: Letters, field: Int64, start: Int64, text: Int64
    ) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (text, occurrence, two fields) for fields near one that is too short to be searched for everywhere."""
        columns = self.columns
        place, occurrence = self._rows_of(field)
        first = columns["first_of_item"][columns["item"][occurrence]]
        count = columns["first_of_item"][columns["item"][occurrence] + 1] - first
        at, index = ranges(first, count)
        place, occurrence, other = place[at], occurrence[at], columns["field_of_item"][index]
        fits = self._are_short_seconds(field[place], other)
        place, occurrence, other = place[fits], occurrence[fits], other[fits]
        _, kept = np.unique(place * len(self) + other, return_index=True)
        kept.sort()
        place, occurrence, other = place[kept], occurrence[kept], other[kept]
        end = start + columns["length"][field]
        low = np.maximum(np.append(0, letters.ends)[text], start - _NEAR)
        high = np.minimum(letters.ends[text], end + _NEAR)
        is_near = self._stands_in(letters, other, low[place], start[place])
        is_near |= self._stands_in(letters, other, end[place], high[place])
        for found in np.flatnonzero(is_near).tolist():
            yield int(text[place[found]]), int(occurrence[found]), [int(field[place[found]]), int(other[found])]

    def _are_short_seconds(self, field: Int64, other: Int64) -> npt.NDArray[np.bool_]:
        columns = self.columns
        weight, length, common, part = (columns[name] for name in ("weight", "length", "common", "part"))
        fits: npt.NDArray[np.bool_] = (part[field] == part[other]) & (weight[field] + weight[other] >= _BOTH_LETTERS)
        fits &= is_short_second(weight[other], length[other], common[other], part[other])
        return fits

    def _stands_in(self, letters: Letters, field: Int64, low: Int64, high: Int64) -> npt.NDArray[np.bool_]:
        """Return which fields are as whole words somewhere from the letter ``low`` to before ``high``."""
        length, words = self.columns["length"][field], np.flatnonzero(letters.starts)
        first = np.searchsorted(words, low)
        count = np.searchsorted(words, high - length, side="right") - first
        of, index = ranges(first, np.maximum(count, 0))
        at, size = words[index], length[of]
        same = letters.starts[at + size]
        of, at, size = of[same], at[same], size[same]
        stands = np.zeros(len(field), bool)
        stands[of[letters.hashes(at, size) == self.hashes[field[of]]]] = True
        return stands

    def _pairs(
        self, field: Int64, start: Int64, text: Int64, *, every: bool = False
    ) -> Iterator[tuple[int, int, list[int]]]:
        """Yield (text, occurrence, two fields) for texts with two fields of one row near each other.

        Of each text the first such row, or all (``every``), then perhaps more than once.
        """
        columns = self.columns
        several = np.bincount(text)[text] > 1  # a text with one field has no pair
        field, start, text = field[several], start[several], text[several]
        place, occurrence = self._rows_of(field)
        row = text[place] * len(columns["first_of_item"]) + columns["item"][occurrence]
        order = np.lexsort((start[place], row))
        place, occurrence, row = place[order], occurrence[order], row[order]
        done: set[int] = set()
        for step in range(1, _STEPS + 1):
            here, there = place[:-step], place[step:]
            is_pair = (row[step:] == row[:-step]) & self._is_pair(field, start, here, there)
            for at in np.flatnonzero(is_pair).tolist():
                number = int(text[here[at]])
                if every or number not in done:
                    done.add(number)
                    yield number, int(occurrence[at]), [int(field[here[at]]), int(field[there[at]])]

    def _is_pair(self, field: Int64, start: Int64, here: Int64, there: Int64) -> npt.NDArray[np.bool_]:
        """Return which two places hold a pair: different fields, one after the other and near, that say enough."""
        columns = self.columns
        first, second = field[here], field[there]
        gap = start[there] - start[here] - columns["length"][first]
        is_pair: npt.NDArray[np.bool_] = (gap >= 0) & (gap <= _NEAR) & (self.hashes[first] != self.hashes[second])
        is_pair &= (columns["phrase"][first] | columns["phrase"][second]) > 0
        part, other = columns["part"][first], columns["part"][second]
        is_pair &= ((part == other) & (part != 1)) | (
            columns["weight"][first] + columns["weight"][second] >= _PARTS_LETTERS
        )
        return is_pair

    def _places(self, letters: Letters) -> tuple[Int64, Int64]:
        """Return (field, first letter) of all fields that are in the letters."""
        fields, starts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        base = 0
        for size, anchors, near in zip(ANCHORS, self.anchors, self.filters, strict=True):
            if len(anchors) and (size >= PAIR_LETTERS or letters.has_ideographs):
                hashes = letters.all_hashes(size)
                at = pass_filter(near, hashes)
                hashes = hashes.take(at)
                low = np.searchsorted(anchors, hashes)
                is_anchor = anchors.take(low, mode="clip") == hashes
                at, low, hashes = at[is_anchor], low[is_anchor], hashes[is_anchor]
                of, field = ranges(low, np.searchsorted(anchors, hashes, side="right") - low)
                field += base
                start = at[of] - self.columns["offset"][field]
                kept = self._stands(letters, field, start)
                fields.append(field[kept])
                starts.append(start[kept])
            base += len(anchors)
        return np.concatenate(fields), np.concatenate(starts)

    def _stands(self, letters: Letters, field: Int64, start: Int64) -> npt.NDArray[np.bool_]:
        """Return which of the fields are at these places: as whole words, where they are short."""
        length = self.columns["length"][field]
        stands = (start >= 0) & (start + length <= len(letters))
        at, size = start[stands], length[stands]
        same = letters.hashes(at, size) == self.hashes[field[stands]]
        same &= letters.text_of(at) == letters.text_of(at + size - 1)
        is_long = self.columns["weight"][field[stands]] >= 2 * ALONE_LETTERS
        same &= is_long | (letters.starts[at] & letters.starts[at + size])
        stands[stands] = same
        return stands

    def _hit(self, occurrence: int, fields: list[int]) -> FieldHit:
        columns = self.columns
        item = int(columns["item"][occurrence])
        begin, stop = columns["first_of_item"][item : item + 2]
        names = []
        for field in fields:
            at = begin + int(np.flatnonzero(columns["field_of_item"][begin:stop] == field)[0])
            names.append(self.names[int(columns["name_of_item"][at])])
        texts = tuple(str(self.texts[int(columns["text"][field])]) for field in fields)
        return FieldHit(int(columns["source"][occurrence]), int(columns["row"][occurrence]), tuple(names), texts)


def is_short_second(weight: Any, length: Any, common: Any, part: Any) -> Any:
    """Tell, of one field or of arrays, whether it is searched for only alongside another field of its row."""
    return (weight >= _SHORT_LETTERS) & (weight < PAIR_LETTERS) & (length > 1) & (common == 0) & (part != 1)


def _firsts(values: Int64) -> Int64:
    """Return where each different value is first."""
    return np.unique(values, return_index=True)[1].astype(np.int64)


def _chunks(texts: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the texts some at a time, with the number of the first."""
    first = size = 0
    for number, text in enumerate(texts):
        size += len(text) + 1
        if size >= _CHUNK_CHARACTERS:
            yield first, texts[first : number + 1]
            first, size = number + 1, 0
    if first < len(texts):
        yield first, texts[first:]
