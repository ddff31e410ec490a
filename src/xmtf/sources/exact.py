"""Whole numbers of JSON lines stay exact: beside decimals, 1 would become 1.0, and a long one loses its last digits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pyarrow as pa

from xmtf.errors import SourceError

__all__ = ["INEXACT", "check_long_numbers", "exact_field"]

INEXACT = b"xmtf.inexact"
"""Metadata of a column whose whole numbers became decimals: what was found, for who wants to print them."""

_LONG = 2.0**63


def check_long_numbers(row: dict[str, object], line: bytes, number: int, path: object) -> None:
    """Refuse a whole number of more than 64 bits, which the parser read as a decimal.

    Raises:
        SourceError: There is one; names the line and the column.
    """
    for name, value in row.items():
        if any(isinstance(each, float) and abs(each) >= _LONG for each in _leaves(value)):
            exact = json.loads(line).get(name)
            long = next((each for each in _leaves(exact) if isinstance(each, int) and abs(each) >= _LONG), None)
            if long is not None:
                raise SourceError(
                    f"{path}: line {number}: column {name!r} holds {long}, a whole number of more than 64 bits; write "
                    "it as text, in quotes"
                )


def exact_field(name: str, values: Sequence[object], lines: Sequence[int], kind: pa.DataType) -> pa.Field:
    """Return the field of a column, marked where it holds whole numbers that became decimals."""
    if not _holds_decimals(kind):
        return pa.field(name, kind)
    whole = _first(values, lines, int)
    decimal = _first(values, lines, float)
    if whole is None or decimal is None:
        return pa.field(name, kind)
    said = f"line {whole[0]}: {whole[1]}, line {decimal[0]}: {decimal[1]}"
    return pa.field(name, kind, metadata={INEXACT: said.encode()})


def _first(values: Sequence[object], lines: Sequence[int], kind: type) -> tuple[int, object] | None:
    found = (
        (line, each) for value, line in zip(values, lines, strict=True) for each in _leaves(value) if type(each) is kind
    )
    return next(found, None)


def _holds_decimals(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or any(
        _holds_decimals(kind.field(number).type) for number in range(kind.num_fields)
    )


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
