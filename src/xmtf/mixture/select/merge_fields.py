"""From the fields of each evaluation slice to one index of all, on disk.

Fields of one suite that have the same letters are one; how many rows of the suite hold it decides whether it counts
alone (see :mod:`xmtf.mixture.select.field_index`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.files import read_json, write_json
from xmtf.mixture.select.asked_fields import ALONE_LETTERS, ALONE_WORDS, ANCHORS, OF_FIELDS, AskedFields, asked_fields
from xmtf.mixture.select.field_index import (
    COMMON_ROWS,
    COMMON_SHARE,
    FILTER_BITS,
    PAIR_LETTERS,
    RARE_ROWS,
    FieldIndex,
    is_short_second,
)
from xmtf.mixture.select.keys import UInt64, hash_strings, mix
from xmtf.mixture.select.plain_texts import Known, PlainFilter, PlainFilters, near_filter

__all__ = ["merge_fields", "read_index", "write_index"]

_PLAIN = tuple(field.name for field in dataclasses.fields(PlainFilter))
_FILTER_PLACES = 64
"""Places of a filter for each anchor."""

Int64 = npt.NDArray[np.int64]
_Columns = dict[str, npt.NDArray[Any]]


class _Occurrences(NamedTuple):
    """Where fields stand, ``[o]`` each: field, slice, row, place of the row among all, name, part of another field."""

    field: Int64
    source: Int64
    row: Int64
    place: UInt64
    name: Int64
    part: Int64


def merge_fields(parts: Sequence[AskedFields], suites: Sequence[str], splits: Sequence[str]) -> FieldIndex:
    """Return the index of the fields of all evaluation slices.

    Args:
        parts: The fields of each slice.
        suites: Its suite.
        splits: Its dataset and split; rows of one number in different subsets of them count as one.
    """
    if not parts:
        nothing = asked_fields(pa.table({"": pa.array([], pa.string())}), np.empty(0, np.int64))
        parts, suites, splits = [nothing], [""], [""]
    fields, field_of = _different_fields(parts, suites)
    names, name_of = _different_names(parts)
    found = _occurrences(parts, field_of, name_of, splits)
    size = len(fields["hashes"])
    frequency = _frequencies(size, found)
    part = np.full(size, 2)
    np.minimum.at(part, found.field, found.part)
    says_much = (fields["words"] >= ALONE_WORDS) | ((fields["weight"] >= ALONE_LETTERS) & ~fields["is_name"])
    fields["alone"] = (says_much & (part == 0) & (frequency <= RARE_ROWS)).astype(np.int64)
    fields["common"] = (frequency > _most_rows(fields["suite"], found)).astype(np.int64)
    fields["part"], fields["phrase"] = part, fields["is_phrase"].astype(np.int64)
    order, anchors = _by_anchor(fields)
    number = np.empty(size, np.int64)
    number[order] = np.arange(size)
    columns = {
        name: fields[name][order]
        for name in ("length", "weight", "offset", "alone", "common", "phrase", "part", "text")
    }
    columns |= _listed(found._replace(field=number[found.field]), size)
    columns["short"] = _beside_short(columns)
    filters = []
    for column in anchors:
        bits = min(FILTER_BITS, max(10, (_FILTER_PLACES * len(column)).bit_length()))  # the smaller, the quicker
        filters.append(near_filter(column, bits))
    texts = pa.concat_arrays([part.texts for part in parts])
    eight = order[: len(anchors[0])]  # shorter anchors are of ideographs
    known = Known(*(fields[name][eight] for name in Known._fields))
    enough = (columns["alone"][: len(eight)] | columns["short"][: len(eight)]) > 0
    plain = PlainFilters.of(known, enough)
    return FieldIndex(columns, fields["hashes"][order], anchors, tuple(filters), texts, names, plain)


def write_index(folder: Path, index: FieldIndex) -> None:
    """Write an index into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, npt.NDArray[Any]] = {**index.columns, "hashes": index.hashes}
    for number, plain in enumerate(index.plain.filters):
        arrays |= {f"plain_{name}_{number}": getattr(plain, name) for name in _PLAIN}
    for size, anchors, near in zip(ANCHORS, index.anchors, index.filters, strict=True):
        arrays |= {f"anchors_{size}": anchors, f"filter_{size}": near}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    texts = pa.table({"text": index.texts})
    with pa.OSFile(str(folder / "texts.arrow"), "wb") as sink, pa.ipc.new_file(sink, texts.schema) as writer:
        writer.write_table(texts)
    write_json(folder / "names.json", index.names)


def read_index(folder: Path) -> FieldIndex:
    """Read what :func:`write_index` wrote; it stays on disk and is mapped into memory."""
    mapped = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in sorted(folder.glob("*.npy"))}
    arrays = {name: np.asarray(array) for name, array in mapped.items()}  # plain arrays are much quicker to index
    texts = pa.ipc.open_file(pa.memory_map(str(folder / "texts.arrow"))).read_all().column("text")
    return FieldIndex(
        columns={
            name: array for name, array in arrays.items() if array.dtype == np.int64 and not name.startswith("plain_")
        },
        hashes=arrays["hashes"],
        anchors=tuple(arrays[f"anchors_{size}"] for size in ANCHORS),
        filters=tuple(arrays[f"filter_{size}"] for size in ANCHORS),
        texts=texts,
        names=read_json(folder / "names.json"),
        plain=PlainFilters(
            tuple(
                PlainFilter(*(arrays[f"plain_{name}_{number}"] for name in _PLAIN))
                for number in range(sum(name.startswith("plain_keys_") for name in arrays))
            )
        ),
    )


def _different_fields(parts: Sequence[AskedFields], suites: Sequence[str]) -> tuple[_Columns, list[Int64]]:
    """Return the different fields of each suite, and for each part which of them its fields are."""
    salts = hash_strings(pa.array(list(suites), pa.string()))[:, 0]
    keys = [mix(part.hashes + salt) for part, salt in zip(parts, salts, strict=True)]
    _, first, inverse = np.unique(
        np.concatenate([np.empty(0, np.uint64), *keys]), return_index=True, return_inverse=True
    )
    fields = {name: np.concatenate([getattr(part, name) for part in parts])[first] for name in OF_FIELDS}
    fields["text"] = first.astype(np.int64)
    numbers = {suite: number for number, suite in enumerate(dict.fromkeys(suites))}
    suite_of = np.repeat([numbers[suite] for suite in suites], [len(part.hashes) for part in parts])
    fields["suite"] = suite_of[first].astype(np.int64)
    ends = np.cumsum([len(part.hashes) for part in parts])
    return fields, np.split(inverse.astype(np.int64), ends[:-1])


def _different_names(parts: Sequence[AskedFields]) -> tuple[list[str], list[Int64]]:
    numbers: dict[str, int] = {}
    name_of = [np.array([numbers.setdefault(n, len(numbers)) for n in part.names], np.int64) for part in parts]
    return list(numbers), name_of


def _occurrences(
    parts: Sequence[AskedFields], field_of: list[Int64], name_of: list[Int64], splits: Sequence[str]
) -> _Occurrences:
    salts = hash_strings(pa.array(list(splits), pa.string()))[:, 0]
    return _Occurrences(
        np.concatenate([numbers[part.field] for part, numbers in zip(parts, field_of, strict=True)]),
        np.concatenate([np.full(len(part.row), number, np.int64) for number, part in enumerate(parts)]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([mix(part.row.astype(np.uint64) + salt) for part, salt in zip(parts, salts, strict=True)]),
        np.concatenate([numbers[part.name] for part, numbers in zip(parts, name_of, strict=True)]),
        np.concatenate([each.part for each in parts]),
    )


def _frequencies(size: int, found: _Occurrences) -> Int64:
    """Return in how many rows each field stands, int64 ``[size]``."""
    order = np.lexsort((found.place, found.field))
    field, place = found.field[order], found.place[order]
    is_new = np.ones(len(order), bool)
    is_new[1:] = (field[1:] != field[:-1]) | (place[1:] != place[:-1])
    return np.bincount(field[is_new], minlength=size).astype(np.int64)


def _most_rows(suite: Int64, found: _Occurrences) -> Int64:
    """Return for each field how many rows may hold it before it is a common one of its suite, int64 ``[f]``."""
    _, first = np.unique(mix(found.place + suite[found.field].astype(np.uint64)), return_index=True)
    rows = np.bincount(suite[found.field[first]], minlength=int(suite.max(initial=0)) + 1)
    return np.clip(rows // COMMON_SHARE, RARE_ROWS, COMMON_ROWS)[suite].astype(np.int64)


def _by_anchor(fields: _Columns) -> tuple[Int64, tuple[UInt64, ...]]:
    """Return the order of the fields, and the anchors of each size: those that are searched for come first."""
    is_found = (fields["weight"] >= PAIR_LETTERS) & (fields["common"] == 0)
    orders, anchors, upper = [], [], np.inf
    for size in ANCHORS:
        chosen = np.flatnonzero(is_found & (fields["length"] >= size) & (fields["length"] < upper))
        chosen = chosen[np.argsort(fields["anchor"][chosen], kind="stable")]
        orders.append(chosen)
        anchors.append(fields["anchor"][chosen])
        upper = size
    rest = np.ones(len(is_found), bool)
    rest[np.concatenate(orders)] = False
    return np.concatenate([*orders, np.flatnonzero(rest)]), tuple(anchors)


def _listed(found: _Occurrences, size: int) -> dict[str, Int64]:
    """Return the occurrences as lists of each field, and of each item, which is one row of one slice."""
    order = np.lexsort((found.row, found.source, found.field))
    key = found.source * (found.row.max(initial=0) + 1) + found.row
    item = np.unique(key, return_inverse=True)[1].astype(np.int64)
    by_item = np.argsort(item, kind="stable")
    num_items = int(item.max()) + 1 if len(item) else 0
    return {
        "first_of": np.searchsorted(found.field[order], np.arange(size + 1)).astype(np.int64),
        "source": found.source[order],
        "row": found.row[order],
        "item": item[order],
        "first_of_item": np.searchsorted(item[by_item], np.arange(num_items + 1)).astype(np.int64),
        "field_of_item": found.field[by_item],
        "name_of_item": found.name[by_item],
    }


def _beside_short(columns: dict[str, Int64]) -> Int64:
    """Return 1 for fields that are in a row with one that is only searched for next to them, int64 ``[f]``."""
    is_short = is_short_second(*(columns[name] for name in ("weight", "length", "common", "part")))
    num_items = len(columns["first_of_item"]) - 1
    item = np.repeat(np.arange(num_items), np.diff(columns["first_of_item"]))
    has_short = np.bincount(item, weights=is_short[columns["field_of_item"]], minlength=num_items) > 0
    beside = np.zeros(len(is_short), np.int64)
    beside[columns["field_of_item"][has_short[item]]] = 1
    return beside
