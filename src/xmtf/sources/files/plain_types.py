"""Columns in types that all of Arrow's functions know: views and runs of equal values are laid out plainly."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError

__all__ = ["plain_columns", "plain_schema"]

_PLAIN = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def plain_columns(table: pa.Table, where: object) -> pa.Table:
    """Return a table whose columns can be taken, joined and compared.

    Args:
        table: Of any types.
        where: The file, for messages.

    Raises:
        SourceError: A column is of a type that cannot be read; names it.
    """
    schema = plain_schema(table.schema, where)
    if schema is table.schema:
        return table
    columns = [
        column if column.type == field.type else _laid_out(column, field.type)
        for column, field in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, schema=schema)


def plain_schema(schema: pa.Schema, where: object) -> pa.Schema:
    """Return the schema that :func:`plain_columns` gives; the same object where nothing differs.

    Raises:
        SourceError: As :func:`plain_columns`.
    """
    kinds = [_plain(field.type) for field in schema]
    if all(kind is None for kind in kinds):
        return schema
    fields = []
    for field, kind in zip(schema, kinds, strict=True):
        if kind is not None and any(map(pa.types.is_run_end_encoded, _nested(field.type))):
            raise SourceError(
                f"{where}: column {field.name!r} is of type {field.type}; write it without run-length encoding"
            )
        fields.append(field if kind is None else field.with_type(kind))
    return pa.schema(fields, metadata=schema.metadata)


def _plain(kind: pa.DataType) -> pa.DataType | None:
    """Return the plain type that a type is laid out as, or None where it is plain."""
    if pa.types.is_run_end_encoded(kind):
        return _plain(kind.value_type) or kind.value_type
    if kind in _PLAIN:
        return _PLAIN[kind]
    if not any(each in _PLAIN or pa.types.is_run_end_encoded(each) for each in _inner(kind)):
        return None
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_plain(field.type) or field.type) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(*(_plain(each) or each for each in (kind.key_type, kind.item_type)))
    value = _plain(kind.value_type) or kind.value_type
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(value, kind.list_size)
    large = pa.types.is_large_list(kind) or pa.types.is_large_list_view(kind)
    return pa.large_list(value) if large else pa.list_(value)


def _inner(kind: pa.DataType) -> list[pa.DataType]:
    """Return the types inside a type, at any depth."""
    children = [kind.field(number).type for number in range(kind.num_fields)]
    return [each for child in children for each in (child, *_inner(child))]


def _nested(kind: pa.DataType) -> list[pa.DataType]:
    """Return the types inside a type, but for that of runs of values themselves."""
    return _inner(kind.value_type if pa.types.is_run_end_encoded(kind) else kind)


def _laid_out(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_run_end_encoded(column.type):
        chunks = [pc.run_end_decode(chunk) for chunk in column.chunks]
        column = pa.chunked_array(chunks, column.type.value_type)
    return column.cast(kind)
