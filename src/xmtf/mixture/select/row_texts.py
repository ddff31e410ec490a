"""The texts of raw rows: one text per row with all its strings, or every string with the field that it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["columns_of_fields", "fields_of", "joined_texts", "texts_of_rows", "whole_column"]

Int64 = npt.NDArray[np.int64]

_SEPARATOR = "\n"


def texts_of_rows(table: pa.Table, columns: Iterable[str] | None = None) -> list[str]:
    """Return all strings of each row as one text, as :func:`joined_texts`."""
    texts: list[str] = joined_texts(table, columns).to_pylist()
    return texts


def joined_texts(table: pa.Table, columns: Iterable[str] | None = None) -> pa.Array:
    """Return all strings of each row as one text, also those inside lists and structs, string ``[rows]``.

    Args:
        table: Raw rows.
        columns: The columns to read; all where None.
    """
    names = [name for name in table.column_names if columns is None or name in set(columns)]
    parts = [part for name in names if (part := _joined(whole_column(table.column(name)))) is not None]
    if not parts:
        return pa.repeat("", table.num_rows)
    return pc.fill_null(parts[0] if len(parts) == 1 else _side_by_side(parts), "")


def whole_column(column: pa.ChunkedArray) -> pa.Array:
    """Return the values of a column as one array, without a copy where they are one already."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _joined(array: pa.Array) -> pa.Array | None:
    """Return the strings of each value as one, [n] string with nulls; None where the type holds no strings."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _joined(array.dictionary_decode())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_struct(kind):
        parts = [part for child in array.flatten() if (part := _joined(child)) is not None]
        return _side_by_side(parts) if parts else None
    if pa.types.is_map(kind):
        return pa.array(
            [_SEPARATOR.join(text for _, text in fields_of(dict(value or ()))) for value in array.to_pylist()]
        )
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        values = _joined(array.flatten())
        if values is None:
            return None
        offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(_lengths(array), dtype=np.int32)])
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), pc.fill_null(values, "")), _SEPARATOR)
    return None


def _side_by_side(parts: list[pa.Array]) -> pa.Array:
    return pc.binary_join_element_wise(*parts, _SEPARATOR, null_handling="replace", null_replacement="")


def fields_of(row: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (field, text) of every string in a row, also inside lists and mappings.

    >>> list(fields_of({"q": "Who?", "answers": {"text": ["I", "you"]}, "label": 1}))
    [('q', 'Who?'), ('answers.text', 'I'), ('answers.text', 'you')]
    """
    if isinstance(row, str):
        yield name, row
    elif isinstance(row, dict):
        for key, value in row.items():
            yield from fields_of(value, f"{name}.{key}" if name else str(key))
    elif isinstance(row, list | tuple):
        for value in row:
            yield from fields_of(value, name)


def columns_of_fields(column: pa.ChunkedArray, name: str) -> Iterator[tuple[str, Int64, pa.Array]]:
    """Yield (field, rows, texts) of every field in a column, as :func:`fields_of` names them.

    Args:
        column: Values of any type.
        name: Its name.

    Yields:
        Field; the row of each text, int64 ``[n]``; the texts, large_string ``[n]``.
    """
    yield from _fields(whole_column(column), name)


def _fields(array: pa.Array, name: str) -> Iterator[tuple[str, Int64, pa.Array]]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _fields(array.dictionary_decode(), name)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        yield name, np.flatnonzero(array.is_valid()), array.drop_null().cast(pa.large_string())
    elif pa.types.is_struct(kind):
        for field, child in zip(kind, array.flatten(), strict=True):
            yield from _fields(child, f"{name}.{field.name}" if name else field.name)
    elif pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        parents = np.repeat(np.arange(len(array)), _lengths(array))
        for field, places, texts in _fields(array.flatten(), name):
            yield field, parents[places], texts
    elif pa.types.is_nested(kind):
        of_rows = [
            list(fields_of(dict(value) if pa.types.is_map(kind) and value is not None else value, name))
            for value in array.to_pylist()
        ]
        for field in dict.fromkeys(each for fields in of_rows for each, _ in fields):
            found = [(row, text) for row, fields in enumerate(of_rows) for each, text in fields if each == field]
            rows, texts = zip(*found, strict=True)
            yield field, np.array(rows, np.int64), pa.array(texts, pa.large_string())


def _lengths(lists: pa.Array) -> Int64:
    return np.asarray(pc.fill_null(pc.list_value_length(lists), 0)).astype(np.int64)
