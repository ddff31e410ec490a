"""Whole numbers of JSON lines stay exact: among decimals, 1 would become 1.0, and a long one loses digits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa

from xmtf.errors import SourceError

__all__ = ["INEXACT", "Found", "check_long_numbers", "first_numbers", "holds_decimals", "marked_inexact"]

INEXACT = b"xmtf.inexact"
"""Metadata of a column whose whole numbers became decimals: what was found, for who needs to print them."""

_LONG = 2.0**63

Found = tuple[int, object]
"""Number of a line, and a value in it."""


def check_long_numbers(row: dict[str, object], line: bytes, number: int, path: object) -> None:
    """Refuse a whole number of more than 64 bits, which the parser read as a decimal.

    Args:
        row: The values.
        line: The text that they were read from; empty where it is not available.
        number: Number of the line or item.
        path: The file.

    Raises:
        SourceError: There is one; names the line and the column.
    """
    for name, value in row.items():
        if any(isinstance(each, float) and abs(each) >= _LONG for each in leaves(value)):
            exact = json.loads(line).get(name) if line else value
            long = next((each for each in leaves(exact) if isinstance(each, int) and abs(each) >= _LONG), None)
            if long is not None:
                raise SourceError(
                    f"{path}: line {number}: column {name!r} holds {long}, an integer of more than 64 bits; write it "
                    f"as text, in quotes"
                )


def first_numbers(values: Sequence[object], lines: Sequence[int]) -> tuple[Found | None, Found | None]:
    """Return the first whole number and the first decimal of a column, each with its line."""
    return _first(values, lines, int), _first(values, lines, float)


def marked_inexact(field: pa.Field, whole: Found | None, decimal: Found | None) -> pa.Field:
    """Return the field of a column, marked where it holds whole numbers that became decimals."""
    if whole is None or decimal is None or not holds_decimals(field.type):
        return field
    said = f"line {whole[0]}: {whole[1]}, line {decimal[0]}: {decimal[1]}"
    return field.with_metadata({INEXACT: said.encode()})


def _first(values: Sequence[object], lines: Sequence[int], kind: type) -> Found | None:
    found = (
        (line, each) for value, line in zip(values, lines, strict=True) for each in leaves(value) if type(each) is kind
    )
    return next(found, None)


def holds_numbers(kind: pa.DataType) -> bool:
    """Return whether numbers are in values of a type."""
    return (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or any(holds_numbers(kind.field(number).type) for number in range(kind.num_fields))
    )


def holds_decimals(kind: pa.DataType) -> bool:
    """Return whether decimals are in values of a type."""
    return pa.types.is_floating(kind) or any(
        holds_decimals(kind.field(number).type) for number in range(kind.num_fields)
    )


def leaves(value: object) -> Iterator[object]:
    """Yield the values in a value that are not lists or mappings."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield value
