"""The fields of evaluation rows, as they are searched for in training rows.

A field is a string of a raw row. A sentence with a blank is also searched for with each short field of its row filled
in, and its two halves count as fields of the row.

::

    row       sentence "The cup fell; _ broke."   option1 "the cup"   option2 "the man"
    fields    the cup fell broke      the cup      the man
    filled    the cup fell the cup broke      the cup fell the man broke
    parts    the cup fell      broke
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64, Letters, letters_of
from xmtf.mixture.select.plain_texts import PLAIN_LETTERS, beside_anchor, plain_words
from xmtf.mixture.select.row_texts import columns_of_fields, fields_of, texts_of_rows

__all__ = [
    "ALONE_LETTERS",
    "ALONE_WORDS",
    "ANCHORS",
    "GUARD_FILES",
    "OF_FIELDS",
    "AskedFields",
    "asked_fields",
    "read_fields",
    "write_fields",
]

GUARD_FILES = 4
"""Version of what is written of fields; unfinished work with another one is redone, finished mixtures stay."""

ANCHORS = (8, 4)
"""Letters of the stretch by which a field is found; 4 only for fields of few ideographs."""

ALONE_WORDS, ALONE_LETTERS = 4, 15
"""Words, or letters, of a field that may count alone."""
_MIN_LETTERS = 2
_BLANK_SIGNS = "[_＿<\\[]"
"""What a text with a blank holds at least."""
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
        offset: Where this stretch is in the field, int64 ``[f]``.
        plain: Its eight letters as ASCII, uint64 ``[f]``; 0 where they are others, or fewer.
        alongside: Eight more of the field's letters, likewise, ``delta`` after them, int64 ``[f]``.
        texts: The fields as they are in the rows, large_string ``[f]``.
        field: int64 ``[o]``: which field each occurrence is.
        row: Number of its row in the split, int64 ``[o]``.
        name: int64 ``[o]``: index into ``names``.
        part: int64 ``[o]``: 1 where it is in another field of the row, 2 for half of a sentence with a blank.
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
    plain: UInt64
    beside: UInt64
    delta: Int64
    texts: pa.Array
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
    found, whole = _Found(), [text.casefold() for text in texts_of_rows(table)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        for field, places, texts in columns_of_fields(column, name):
            found.add(field, rows[places], texts, _are_parts(texts, places, whole))
    may_have_blank = np.flatnonzero(pc.match_substring_regex(pa.array(whole, pa.large_string()), _BLANK_SIGNS))
    filled = [
        (name, int(rows[place]), text, part)
        for place, row in zip(may_have_blank.tolist(), table.take(pa.array(may_have_blank)).to_pylist(), strict=True)
        for name, text, part in _filled(list(fields_of(row)))
    ]
    if filled:
        names, numbers, texts, parts = zip(*filled, strict=True)
        found.add(names, np.array(numbers, np.int64), pa.array(texts, pa.large_string()), np.array(parts, np.int64))
    encoded = pa.concat_arrays([pa.array([], pa.large_string()), *found.texts]).dictionary_encode()
    columns = [np.concatenate([np.empty(0, np.int64), *column]) for column in (found.rows, found.columns, found.parts)]
    occurrences = np.stack([np.asarray(encoded.indices).astype(np.int64), *columns], axis=1)
    return _measured(encoded.dictionary, occurrences, list(found.names))


@dataclass(slots=True)
class _Found:
    """Fields so far: their texts, rows, names and whether they are parts of others, some at a time."""

    texts: list[pa.Array] = dataclass_field(default_factory=list)
    rows: list[Int64] = dataclass_field(default_factory=list)
    columns: list[Int64] = dataclass_field(default_factory=list)
    parts: list[Int64] = dataclass_field(default_factory=list)
    names: dict[str, int] = dataclass_field(default_factory=dict)

    def add(self, names: str | Sequence[str], rows: Int64, texts: pa.Array, parts: Int64) -> None:
        """Add fields of these rows and texts, and of these names or all of one."""
        numbers = [
            self.names.setdefault(name, len(self.names)) for name in ([names] if isinstance(names, str) else names)
        ]
        self.texts.append(texts)
        self.rows.append(rows)
        self.columns.append(np.broadcast_to(np.array(numbers, np.int64), len(rows)))
        self.parts.append(parts)


def _are_parts(texts: pa.Array, places: Int64, whole: list[str]) -> Int64:
    """Return 1 for short fields that also are in another field of their row, whose texts are case-folded."""
    short = np.flatnonzero(np.asarray(pc.utf8_length(texts)) <= _FILLER_LETTERS)
    fields = texts.take(pa.array(short)).to_pylist()
    parts = np.zeros(len(texts), np.int64)
    parts[short] = [
        whole[row].count(field.casefold()) > 1 for field, row in zip(fields, places[short].tolist(), strict=True)
    ]
    return parts


def _filled(fields: list[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
    """Yield (name, text, part) of what a sentence with a blank is searched for as."""
    for name, text in fields:
        blanks = list(_BLANK.finditer(text))
        if len(blanks) != 1:
            continue
        before, after = text[: blanks[0].start()], text[blanks[0].end() :]
        for other, filler in fields:
            if filler is not text and len(filler) <= _FILLER_LETTERS and len(filler.split()) <= _FILLER_WORDS:
                yield f"{name} with {other}", f"{before}{filler}{after}", 0
        yield f"{name} before the blank", before, 2
        yield f"{name} after the blank", after, 2


def _measured(texts: pa.Array, columns: Int64, names: list[str]) -> AskedFields:
    letters = letters_of(texts.to_pylist(), with_plain=True)
    plain = letters.plain if letters.plain is not None else np.empty(0, np.uint8)
    end = letters.ends if len(texts) else np.empty(0, np.int64)
    start = np.concatenate([np.zeros(min(1, len(end)), np.int64), end[:-1]])
    length = end - start
    anchor, offset = _anchors(letters, start, length)
    delta = np.where(length >= PLAIN_LETTERS, beside_anchor(length, offset), 0)
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
        plain=np.where(length >= PLAIN_LETTERS, plain_words(plain, start + offset), np.uint64(0)),
        beside=plain_words(plain, start + offset + delta),
        delta=delta,
        texts=texts,
        field=columns[:, 0],
        row=columns[:, 1],
        name=columns[:, 2],
        part=columns[:, 3],
        names=names,
    )


def _are_names(columns: Int64, weight: Int64, words: Int64) -> npt.NDArray[np.bool_]:
    """Return which fields stand only under names whose fields are short, such as options, bool ``[f]``."""
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


OF_FIELDS = (
    "hashes",
    "length",
    "weight",
    "words",
    "is_name",
    "is_phrase",
    "anchor",
    "offset",
    "plain",
    "beside",
    "delta",
)
_OF_OCCURRENCES = ("field", "row", "name", "part")
_FIELDS, _OCCURRENCES, _NAMES = "fields.arrow", "occurrences.arrow", b"names"


def write_fields(folder: Path, fields: AskedFields) -> None:
    """Write the fields into a folder."""
    about = pa.table({name: pa.array(getattr(fields, name)) for name in OF_FIELDS} | {"texts": fields.texts})
    occurrences = pa.table({name: pa.array(getattr(fields, name)) for name in _OF_OCCURRENCES})
    for name, table in (
        (_FIELDS, about.replace_schema_metadata({_NAMES: json.dumps(fields.names)})),
        (_OCCURRENCES, occurrences),
    ):
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


def read_fields(folder: Path) -> AskedFields:
    """Read what :func:`write_fields` wrote."""
    about, occurrences = (
        pa.ipc.open_file(pa.memory_map(str(folder / name))).read_all() for name in (_FIELDS, _OCCURRENCES)
    )
    columns = {
        name: table.column(name).to_numpy()
        for table, names in ((about, OF_FIELDS), (occurrences, _OF_OCCURRENCES))
        for name in names
    }
    texts = about.column("texts")
    return AskedFields(
        **columns,
        texts=texts.combine_chunks() if texts.num_chunks != 1 else texts.chunk(0),
        names=json.loads(about.schema.metadata[_NAMES]),
    )
