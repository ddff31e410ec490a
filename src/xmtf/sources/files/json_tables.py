"""Objects of JSON as Arrow tables: a block of rows at a time, then one type for each column of all blocks.

Text stays text (no dates). Whole numbers alongside decimals become decimals and are marked (:mod:`xmtf.sources.exact`);
any other two types in one column are refused with a line of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.sources.exact import Found, check_long_numbers, first_numbers, holds_numbers, leaves, marked_inexact
from xmtf.sources.files.json_values import json_objects, may_hold_long_numbers

__all__ = ["JSON_TEXT", "JsonBlocks"]

JSON_TEXT = "\x1e"
"""Begins a text that is JSON, as in sequences of JSON texts (RFC 7464)."""

_BLOCK_ROWS = 16_384
_BLOCK_BYTES = 32 * 2**20

_AS_TEXT = "write it as text, in quotes"
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}


@dataclass(slots=True)
class _Numbers:
    whole: Found | None = None
    decimal: Found | None = None


@dataclass(slots=True)
class JsonBlocks:
    """The rows of a file, block by block.

    Attributes:
        path: The file.
        array: Whether it may be one array.
        as_json: Columns whose lists and mappings stay JSON, each a text that begins with :data:`JSON_TEXT`: of messages
            and calls of functions each is of its own type.
    """

    path: Path
    array: bool
    as_json: Sequence[str] = ()
    _numbers: dict[str, _Numbers] = field(default_factory=dict)

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield tables with the types that the rows of each have.

        Raises:
            SourceError: As :func:`xmtf.sources.files.json_values.json_objects`, or a column mixes types, or holds a
                number that is too large.
        """
        rows, lines, size = list[dict[str, object]](), list[int](), 0
        for number, row, line in json_objects(self.path, array=self.array):
            if may_hold_long_numbers(line):
                check_long_numbers(row, line, number, self.path)
            rows.append(row)
            lines.append(number)
            size += len(line)
            if len(rows) == _BLOCK_ROWS or size > _BLOCK_BYTES:
                yield self._table(rows, lines)
                rows, lines, size = [], [], 0
        if rows:
            yield self._table(rows, lines)

    def whole(self) -> pa.Table:
        """Return all rows as one table: as many columns as any row has, and one type for each.

        Raises:
            SourceError: As the iteration.
        """
        tables = list(self)
        schema = self._common([table.schema for table in tables])
        return pa.concat_tables([schema.empty_table(), *(self.fitted(table, schema) for table in tables)])

    def scan(self) -> tuple[pa.Schema, int]:
        """Return the columns of all rows together, and the number of rows; keeps none of them.

        Raises:
            SourceError: As the iteration.
        """
        schemas, rows = dict[pa.Schema, None](), 0
        for table in self:
            schemas[table.schema] = None
            rows += table.num_rows
        return self._common(list(schemas)), rows

    def _marked(self, each: pa.Field) -> pa.Field:
        seen = self._numbers.get(each.name, _Numbers())
        return marked_inexact(each, seen.whole, seen.decimal)

    def _table(self, rows: Sequence[dict[str, object]], lines: Sequence[int]) -> pa.Table:
        columns: dict[str, pa.Array] = {}
        for name in dict.fromkeys(name for row in rows for name in row):
            values = [row.get(name) for row in rows]
            if name in self.as_json:
                values = [_as_json(value) for value in values]
            try:
                columns[name] = pa.array(values)
            except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
                raise SourceError(_explain(self.path, name, self.array, str(error))) from None
            self._note_numbers(name, values, lines, columns[name].type)
        return pa.table(columns)

    def _note_numbers(self, name: str, values: Sequence[object], lines: Sequence[int], kind: pa.DataType) -> None:
        seen = self._numbers.setdefault(name, _Numbers())
        if holds_numbers(kind) and (seen.whole is None or seen.decimal is None):
            whole, decimal = first_numbers(values, lines)
            seen.whole, seen.decimal = seen.whole or whole, seen.decimal or decimal

    def _common(self, schemas: Sequence[pa.Schema]) -> pa.Schema:
        types: dict[str, pa.DataType] = {}
        for schema in schemas:
            for each in schema:
                merged = _merged(types.get(each.name, pa.null()), each.type)
                if merged is None:
                    raise SourceError(_explain(self.path, each.name, self.array, "the types of rows differ"))
                types[each.name] = merged
        return pa.schema([self._marked(pa.field(*each)) for each in types.items()])

    def fitted(self, table: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return a table of some rows with the columns of all.

        Raises:
            SourceError: A number in it is too large for the type of its column.
        """
        columns = []
        for each in schema:
            if each.name not in table.column_names:
                columns.append(pa.nulls(table.num_rows, each.type))
                continue
            column = table.column(each.name)
            try:
                columns.append(column if column.type == each.type else _cast(column, each.type))
            except pa.ArrowInvalid as error:
                raise SourceError(_explain(self.path, each.name, self.array, str(error))) from None
        return pa.table(columns, schema=schema)


def _as_json(value: object) -> object:
    return JSON_TEXT + orjson.dumps(value).decode() if isinstance(value, list | dict) else value


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return a column with another type, into which its own fits: structs may get further fields, lists others."""
    if not pa.types.is_nested(kind) or pa.types.is_null(column.type):
        return column.cast(kind)
    return pa.array(column.to_pylist(), kind)


def _merged(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, or None where there is none."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = (pa.int64(), pa.float64())
    if one in numbers and other in numbers:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        merged = _merged(one.value_type, other.value_type)
        return None if merged is None else pa.list_(merged)
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        types = {each.name: each.type for each in one}
        for each in other:
            merged = _merged(types.get(each.name, pa.null()), each.type)
            if merged is None:
                return None
            types[each.name] = merged
        return pa.struct(types.items())
    return None


def _explain(path: Path, name: str, array: bool, reason: str) -> str:
    """Describe of a column that cannot have one type where two of them stand, or where too large a number does."""
    seen: dict[str, dict[str, tuple[int, object]]] = {}
    for number, row, _ in json_objects(path, array=array):
        for where, value in _places(name, row.get(name)):
            kinds = seen.setdefault(where, {})
            kinds.setdefault(_KINDS[type(value)], (number, value))
            if len(kinds) == 2:
                (one, (first, left)), (other, (second, right)) = kinds.items()
                return (
                    f"{path}: column {where!r} mixes types: line {first} has {one} ({_short(left)}), line {second} has "
                    f"{other} ({_short(right)}); write one type on all lines, such as text, in quotes"
                )
            if type(value) is int and not -(2**63) <= value < 2**63:
                return f"{path}: column {where!r} holds too large a number: line {number}: {value}; {_AS_TEXT}"
    beside = _beside_decimals(path, name, array)
    return f"{path}: column {name!r} {beside or 'cannot have one type: ' + reason}"


def _beside_decimals(path: Path, name: str, array: bool) -> str | None:
    """Name a whole number that is next to decimals and has more digits than those have."""
    for number, row, _ in json_objects(path, array=array):
        for value in leaves(row.get(name)):
            if type(value) is int and abs(value) > 2**53:
                return f"has too large a number among decimals: line {number}: {value}; {_AS_TEXT}"
    return None


def _places(where: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield a value and all in it, each with its place; nulls are of any type."""
    if value is None:
        return
    yield where, value
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _places(f"{where}.{name}", each)
    elif isinstance(value, list):
        for each in value:
            yield from _places(f"{where}[]", each)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
