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
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.letters import Int64, letters_of
from xmtf.mixture.select.plain_texts import STEP, known_by
from xmtf.mixture.select.row_texts import columns_of_fields, joined_texts, whole_column

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

GUARD_FILES = 5
"""Version of what is written of fields; unfinished work with another one is redone, finished mixtures stay."""

ANCHORS = (8, 4)
"""Letters of the stretch by which a field is found; 4 only for fields of few ideographs."""

ALONE_WORDS, ALONE_LETTERS = 4, 15
"""Words, or letters, of a field that may count alone."""
_MIN_LETTERS = 2
_BLANK_SIGNS = "[_＿<\\[]"
"""What a text with a blank holds at least."""
_SIGN = re.compile(_BLANK_SIGNS)
_BLANK = re.compile(r"(?<![_＿])[_＿]+(?![_＿])|\[mask\]|<mask>|<blank>|\[blank\]", re.IGNORECASE)
_ANCHOR_PLACES = 6
"""Stretches of a field among which its anchor is chosen."""
_BUCKET_BITS = 16
_CHUNK_BYTES = 2**17
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
        keys: What it is known by, uint64 ``[f, 4]``; see :class:`xmtf.mixture.select.plain_texts.Known`.
        place: Likewise, ``[f]``.
        head: Likewise.
        tail: Likewise.
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
    keys: UInt64
    place: Int64
    head: UInt64
    tail: UInt64
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
    found, whole = _Found(), joined_texts(table)
    columns = [
        field
        for name, column in zip(table.column_names, table.columns, strict=True)
        for field in columns_of_fields(column, name)
    ]
    for name, places, texts in columns:
        found.add(name, rows[places], texts, _are_parts(texts, places, whole))
    has_sign = np.asarray(pc.match_substring_regex(whole, _BLANK_SIGNS), dtype=bool)
    if has_sign.any():
        filled = [
            (name, int(rows[row]), text, part)
            for row, fields in _by_row(columns, has_sign).items()
            for name, text, part in _filled(fields)
        ]
        names, numbers, texts, parts = zip(*filled, strict=True) if filled else ((), (), (), ())
        found.add(names, np.array(numbers, np.int64), pa.array(texts, pa.large_string()), np.array(parts, np.int64))
    encoded = pa.concat_arrays([pa.array([], pa.large_string()), *found.texts]).dictionary_encode()
    about = [np.concatenate([np.empty(0, np.int64), *column]) for column in (found.rows, found.columns, found.parts)]
    occurrences = np.stack([np.asarray(encoded.indices).astype(np.int64), *about], axis=1)
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


def _are_parts(texts: pa.Array, places: Int64, whole: pa.Array) -> Int64:
    """Return 1 for short fields that also are in another field of their row, whose texts are ``whole``."""
    short = np.flatnonzero(np.asarray(pc.utf8_length(texts)) <= _FILLER_LETTERS)
    fields, around = texts.take(pa.array(short)).to_pylist(), whole.take(pa.array(places[short])).to_pylist()
    parts = np.zeros(len(texts), np.int64)
    parts[short] = [row.casefold().count(field.casefold()) > 1 for field, row in zip(fields, around, strict=True)]
    return parts


def _by_row(
    columns: list[tuple[str, Int64, pa.Array]], is_wanted: npt.NDArray[np.bool_]
) -> dict[int, list[tuple[str, str]]]:
    """Return (name, text) of the fields of the rows that are wanted."""
    fields: dict[int, list[tuple[str, str]]] = {}
    for name, places, texts in columns:
        at = np.flatnonzero(is_wanted[places])
        for row, text in zip(places[at].tolist(), texts.take(pa.array(at)).to_pylist(), strict=True):
            fields.setdefault(row, []).append((name, text))
    return fields


def _filled(fields: list[tuple[str, str]]) -> Iterator[tuple[str, str, int]]:
    """Yield (name, text, part) of what a sentence with a blank is searched for as."""
    for name, text in fields:
        blanks = list(_BLANK.finditer(text)) if _SIGN.search(text) else []
        if len(blanks) != 1:
            continue
        before, after = text[: blanks[0].start()], text[blanks[0].end() :]
        for other, filler in fields:
            if filler is not text and len(filler) <= _FILLER_LETTERS and len(filler.split()) <= _FILLER_WORDS:
                yield f"{name} with {other}", f"{before}{filler}{after}", 0
        yield f"{name} before the blank", before, 2
        yield f"{name} after the blank", after, 2


def _measured(texts: pa.Array, columns: Int64, names: list[str]) -> AskedFields:
    parts = [_measure(part) for part in _in_parts(texts)] or [_measure(texts)]
    length, weight, words, starts, hashes, low = (
        np.concatenate(column) for column in list(zip(*parts, strict=True))[:6]
    )
    start = np.cumsum(length) - length
    anchor, offset = _anchors(length, [part.stretches for part in parts])
    known = known_by(low, start, length, offset)
    columns = columns[columns[:, 0] >= 0]
    columns = columns[length[columns[:, 0]] >= _MIN_LETTERS]
    return AskedFields(
        hashes=hashes,
        length=length,
        weight=weight,
        words=words,
        is_name=_are_names(columns, weight, words),
        is_phrase=starts > 1,
        anchor=anchor,
        offset=offset,
        keys=known.keys,
        place=known.place,
        head=known.head,
        tail=known.tail,
        texts=texts,
        field=columns[:, 0],
        row=columns[:, 1],
        name=columns[:, 2],
        part=columns[:, 3],
        names=names,
    )


class _Measures(NamedTuple):
    """Of some fields: letters, weight, words where these are spaced, and anywhere, and hash; ``[f]`` each.

    ``low`` are the last bytes of their letters; ``stretches`` has for each size of anchor the hashes of those among
    which the anchors are chosen, uint64 ``[places, fields of this size]``.
    """

    length: Int64
    weight: Int64
    words: Int64
    starts: Int64
    hashes: UInt64
    low: npt.NDArray[np.uint8]
    stretches: list[UInt64]


def _in_parts(texts: pa.Array) -> Iterator[pa.Array]:
    """Yield texts some at a time, so that the numbers of their letters stay in the processor's cache."""
    ends = np.cumsum(np.asarray(pc.binary_length(texts)), dtype=np.int64)
    first = 0
    while first < len(texts):
        before = int(ends[first - 1]) if first else 0
        end = max(first + 1, int(np.searchsorted(ends, before + _CHUNK_BYTES, side="right")))
        yield texts.slice(first, end - first)
        first = end


def _measure(texts: pa.Array) -> _Measures:
    letters = letters_of(texts, with_low=True)
    end = letters.ends
    start = np.append(0, end)[: len(end)]
    length = end - start
    stretches = [
        letters.hashes(start[chosen] + _anchor_places(length[chosen] - size), size)
        for size, chosen in _by_anchor(length)
    ]
    low = letters.low if letters.low is not None else np.empty(0, np.uint8)
    weight, words = letters.weights(start, end), letters.words(start, end)
    starts = letters.words(start, end, spaced=False)
    return _Measures(length, weight, words, starts, letters.hashes(start, length), low, stretches)


def _are_names(columns: Int64, weight: Int64, words: Int64) -> npt.NDArray[np.bool_]:
    """Return which fields stand only under names whose fields are short, such as options, bool ``[f]``."""
    are_names = np.ones(len(weight), bool)
    for name in np.unique(columns[:, 2]).tolist():
        fields = columns[columns[:, 2] == name, 0]
        if np.median(weight[fields]) >= ALONE_LETTERS or np.median(words[fields]) >= ALONE_WORDS:
            are_names[fields] = False
    return are_names


def _by_anchor(length: Int64) -> Iterator[tuple[int, Int64]]:
    """Yield for each size of anchor the numbers of the fields that have one of it."""
    upper = np.inf
    for size in ANCHORS:
        yield size, np.flatnonzero((length >= size) & (length < upper))
        upper = size


def _anchor_places(room: Int64) -> Int64:
    """Return the places of a few stretches of fields, as many letters apart as there is room, int64 ``[places, f]``."""
    return np.stack([room * step // (_ANCHOR_PLACES - 1) for step in range(_ANCHOR_PLACES)])


def _anchors(length: Int64, stretches: list[list[UInt64]]) -> tuple[UInt64, Int64]:
    """Return the anchor of each field and its place in it: of a few stretches the one that is rarest among all."""
    anchor, offset = np.zeros(len(length), np.uint64), np.zeros(len(length), np.int64)
    for number, (size, chosen) in enumerate(_by_anchor(length)):
        hashes = np.concatenate([part[number] for part in stretches], axis=1)
        buckets = (hashes >> np.uint64(64 - _BUCKET_BITS)).view(np.int64)
        often = np.bincount(buckets.ravel(), minlength=2**_BUCKET_BITS)
        rarest = np.argmin(often[buckets], axis=0), np.arange(len(chosen))
        offset[chosen], anchor[chosen] = _anchor_places(length[chosen] - size)[rarest], hashes[rarest]
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
    "keys",
    "place",
    "head",
    "tail",
)
_OF_OCCURRENCES = ("field", "row", "name", "part")
_FIELDS, _OCCURRENCES, _NAMES = "fields.arrow", "occurrences.arrow", b"names"


def write_fields(folder: Path, fields: AskedFields) -> None:
    """Write the fields into a folder."""
    of_fields = {name: pa.array(np.ravel(getattr(fields, name))) for name in OF_FIELDS}
    of_fields["keys"] = pa.FixedSizeListArray.from_arrays(of_fields["keys"], STEP)
    about = pa.table(of_fields | {"texts": fields.texts})
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
    columns = {name: occurrences.column(name).to_numpy() for name in _OF_OCCURRENCES}
    whole = {name: whole_column(column) for name, column in zip(about.column_names, about.columns, strict=True)}
    columns |= {name: np.asarray(whole[name]) for name in OF_FIELDS if name != "keys"}
    return AskedFields(
        **columns,
        keys=whole["keys"].flatten().to_numpy().reshape(-1, STEP),
        texts=whole["texts"],
        names=json.loads(about.schema.metadata[_NAMES]),
    )
