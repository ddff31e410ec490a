"""The fields of evaluation rows, as they are looked for in training rows.

A field is a string of a raw row. A sentence with a blank is also looked for with each short field of its row filled
in, and its two halves count as fields of the row.

::

    row       sentence "The cup fell; _ broke."   option1 "the cup"   option2 "the man"
    fields    the cup fell broke      the cup      the man
    filled    the cup fell the cup broke      the cup fell the man broke
    parts    the cup fell      broke
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.files import read_json, write_json
from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64, Letters, letters_of
from xmtf.mixture.select.row_texts import fields_of, texts_of_rows

__all__ = ["ALONE_LETTERS", "ALONE_WORDS", "ANCHORS", "AskedFields", "asked_fields", "read_fields", "write_fields"]

ANCHORS = (8, 4)
"""Letters of the stretch by which a field is found; 4 only for fields of few ideographs."""

ALONE_WORDS, ALONE_LETTERS = 4, 15
"""Words, or letters, of a field that may count alone."""
_MIN_LETTERS = 2
_BLANK = re.compile(r"(?<![_＿])[_＿]+(?![_＿])|\[mask\]|<mask>|<blank>|\[blank\]", re.IGNORECASE)
_ANCHOR_PLACES = 6
"""Stretches of a field among which its anchor is chosen."""
_BUCKET_BITS = 16
_FILLER_WORDS = 8
"""What is filled into a blank has at most so many words."""
_FILLER_LETTERS = 40


@dataclass(frozen=True, slots=True)
class AskedFields:
    """The fields of some evaluation rows.

    Attributes:
        hashes: Of each different field, uint64 ``[f]``.
        length: Its letters, int64 ``[f]``.
        weight: Its letters, ideographs twice, int64 ``[f]``.
        words: Its words, in scripts that put spaces between them, int64 ``[f]``.
        is_name: bool ``[f]``: it stands only under names whose fields are short, such as options.
        is_phrase: bool ``[f]``: it is more than one word, or in a script without spaces.
        anchor: Hash of the stretch by which it is found, uint64 ``[f]``; one that few other fields have.
        offset: Where this stretch stands in the field, int64 ``[f]``.
        texts: The fields as they stand in the rows.
        field: int64 ``[o]``: which field each occurrence is.
        row: Number of its row in the split, int64 ``[o]``.
        name: int64 ``[o]``: index into ``names``.
        part: int64 ``[o]``: 1 where it stands in another field of the row, 2 for half of a sentence with a blank.
        names: Names of fields.
    """

    hashes: UInt64
    length: Int64
    weight: Int64
    words: Int64
    is_name: npt.NDArray[np.bool_]
    is_phrase: npt.NDArray[np.bool_]
    anchor: UInt64
    offset: Int64
    texts: list[str]
    field: Int64
    row: Int64
    name: Int64
    part: Int64
    names: list[str]


def asked_fields(table: pa.Table, rows: Int64) -> AskedFields:
    """Return the fields of evaluation rows.

    Args:
        table: Raw rows.
        rows: Number of each in its split, int64 ``[table.num_rows]``.
    """
    found = _Fields()
    numbers, whole = rows.tolist(), [text.lower() for text in texts_of_rows(table)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind):
            texts = column.to_pylist()
            found.add(name, numbers, texts, [_is_part(*both) for both in zip(texts, whole, strict=True)])
        elif not (pa.types.is_primitive(kind) or pa.types.is_null(kind) or pa.types.is_binary(kind)):
            for number, value, row in zip(numbers, column.to_pylist(), whole, strict=True):
                for field, text in fields_of(value, name):
                    found.add(field, [number], [text], [_is_part(text, row)])
    for at, text in enumerate(whole):
        if _may_have_blank(text):
            _fill_blanks(list(fields_of(table.slice(at, 1).to_pylist()[0])), numbers[at], found)
    occurrences = (np.array(column, np.int64) for column in (found.fields, found.rows, found.columns, found.parts))
    return _measured(list(found.texts), np.stack(list(occurrences), axis=1), list(found.names))


@dataclass(slots=True)
class _Fields:
    """Different texts and names of fields so far; the occurrences as columns."""

    texts: dict[str, int] = dataclass_field(default_factory=dict)
    names: dict[str, int] = dataclass_field(default_factory=dict)
    fields: list[int] = dataclass_field(default_factory=list)
    rows: list[int] = dataclass_field(default_factory=list)
    columns: list[int] = dataclass_field(default_factory=list)
    parts: list[int] = dataclass_field(default_factory=list)

    def add(self, name: str, rows: Sequence[int], texts: Sequence[str | None], parts: Sequence[int]) -> None:
        """Add the field ``name`` of rows; nulls are none."""
        known = self.texts
        self.fields += [-1 if text is None else known.setdefault(text, len(known)) for text in texts]
        self.rows += rows
        self.columns += [self.names.setdefault(name, len(self.names))] * len(rows)
        self.parts += parts


def _is_part(text: str | None, row: str) -> bool:
    """Tell whether a short field also stands in another field of its row, whose texts are given in lower case."""
    return text is not None and len(text) <= _FILLER_LETTERS and row.count(text.lower()) > 1


def _may_have_blank(text: str) -> bool:
    return ("_" in text or "＿" in text or "[" in text or "<" in text) and _BLANK.search(text) is not None


def _fill_blanks(fields: list[tuple[str, str]], row: int, found: _Fields) -> None:
    for name, text in fields:
        blanks = list(_BLANK.finditer(text)) if _may_have_blank(text) else []
        if len(blanks) != 1:
            continue
        before, after = text[: blanks[0].start()], text[blanks[0].end() :]
        for other, filler in fields:
            if filler is not text and len(filler) <= _FILLER_LETTERS and len(filler.split()) <= _FILLER_WORDS:
                found.add(f"{name} with {other}", [row], [f"{before}{filler}{after}"], [0])
        found.add(f"{name} before the blank", [row], [before], [2])
        found.add(f"{name} after the blank", [row], [after], [2])


def _measured(texts: list[str], columns: Int64, names: list[str]) -> AskedFields:
    letters = letters_of(texts)
    end = letters.ends if texts else np.empty(0, np.int64)
    start = np.concatenate([np.zeros(min(1, len(end)), np.int64), end[:-1]])
    length = end - start
    anchor, offset = _anchors(letters, start, length)
    weights, words = letters.weights(), letters.words()
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(letters.starts[:-1])])
    columns = columns[columns[:, 0] >= 0]
    columns = columns[length[columns[:, 0]] >= _MIN_LETTERS]
    weight, num_words = weights[end] - weights[start], words[end] - words[start]
    return AskedFields(
        hashes=letters.hashes(start, length),
        length=length,
        weight=weight,
        words=num_words,
        is_name=_are_names(columns, weight, num_words),
        is_phrase=starts[end] - starts[start] > 1,
        anchor=anchor,
        offset=offset,
        texts=texts,
        field=columns[:, 0],
        row=columns[:, 1],
        name=columns[:, 2],
        part=columns[:, 3],
        names=names,
    )


def _are_names(columns: Int64, weight: Int64, words: Int64) -> npt.NDArray[np.bool_]:
    """Tell which fields stand only under names whose fields are short, such as options, bool ``[f]``."""
    are_names = np.ones(len(weight), bool)
    for name in np.unique(columns[:, 2]).tolist():
        fields = columns[columns[:, 2] == name, 0]
        if np.median(weight[fields]) >= ALONE_LETTERS or np.median(words[fields]) >= ALONE_WORDS:
            are_names[fields] = False
    return are_names


def _anchors(letters: Letters, start: Int64, length: Int64) -> tuple[UInt64, Int64]:
    """Return the anchor of each field and its place in it: of a few stretches the one that is rarest among all."""
    anchor, offset = np.zeros(len(start), np.uint64), np.zeros(len(start), np.int64)
    waiting = np.ones(len(start), bool)
    for size in ANCHORS:
        chosen = np.flatnonzero(waiting & (length >= size))
        waiting[chosen] = False
        if not len(chosen):
            continue
        hashes = letters.all_hashes(size)
        buckets = (hashes >> np.uint64(64 - _BUCKET_BITS)).view(np.int64)
        often = np.bincount(buckets, minlength=2**_BUCKET_BITS)
        room = length[chosen] - size
        places = np.stack([room * step // (_ANCHOR_PLACES - 1) for step in range(_ANCHOR_PLACES)])
        rarest = np.argmin(often[buckets[start[chosen] + places]], axis=0)
        offset[chosen] = places[rarest, np.arange(len(chosen))]
        anchor[chosen] = hashes[start[chosen] + offset[chosen]]
    return anchor, offset


_ARRAYS = (
    "hashes",
    "length",
    "weight",
    "words",
    "is_name",
    "is_phrase",
    "anchor",
    "offset",
    "field",
    "row",
    "name",
    "part",
)


def write_fields(folder: Path, fields: AskedFields) -> None:
    """Write the fields into a folder."""
    with (folder / "fields.npz").open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{name: getattr(fields, name) for name in _ARRAYS})
    write_json(folder / "fields.json", {"names": fields.names, "texts": fields.texts})


def read_fields(folder: Path) -> AskedFields:
    """Read what :func:`write_fields` wrote."""
    with np.load(folder / "fields.npz", allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in _ARRAYS}
    return AskedFields(**columns, **read_json(folder / "fields.json"))
