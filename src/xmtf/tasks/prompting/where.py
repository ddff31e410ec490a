"""Row filters: which rows of a table fulfil a condition of a recipe, column by column.

A row without a value (null or NaN) fulfils no comparison but with null itself; ``not`` turns the answer round.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError, nearest
from xmtf.recipe.where import ORDERED, PATTERNS, Scalar

__all__ = ["Mask", "find_column", "judge_where"]

Mask = npt.NDArray[np.bool_]

_ORDER: dict[str, Callable[[pa.Array, pa.Scalar], pa.Array]] = {
    "lt": pc.less,
    "le": pc.less_equal,
    "gt": pc.greater,
    "ge": pc.greater_equal,
    "eq": pc.equal,
    "ne": pc.not_equal,
}
_TEXTS: dict[str, Callable[[pa.Array, str], pa.Array]] = {
    "starts": pc.starts_with,
    "ends": pc.ends_with,
    "matches": pc.match_substring_regex,
    "contains": pc.match_substring,
}
_LONGEST_REASON = 100


def judge_where(table: pa.Table, where: Mapping[str, object], place: str) -> Iterator[tuple[str, str, Mask]]:
    """Yield for each condition of a filter (its reason, its column or ``""``, rows that fulfil it, bool ``[rows]``).

    Args:
        table: The rows.
        where: The filter.
        place: Named in errors.

    Raises:
        SourceError: There is no such column, or it cannot be compared so; says which there are, and what it holds.
    """
    for name, wanted in where.items():
        text = json.dumps(wanted, ensure_ascii=False).replace('"', "")
        reason = f"row filter {name}: {text}"
        yield (
            textwrap.shorten(reason, _LONGEST_REASON, placeholder="..."),
            "" if name in ("not", "any") else name,
            _fulfils(table, name, wanted, place),
        )


def _fulfils(table: pa.Table, name: str, wanted: object, place: str) -> Mask:
    """Return which rows fulfil one entry of a filter."""
    if name == "not":
        return ~_all(table, cast("Mapping[str, object]", wanted), place)
    if name == "any":
        parts = [_all(table, each, place) for each in cast("list[Mapping[str, object]]", wanted)]
        return cast("Mask", np.logical_or.reduce(parts))
    column = find_column(table, name, place)
    if isinstance(wanted, Mapping):
        comparisons = dict(wanted)
    else:
        comparisons = {"in": wanted} if isinstance(wanted, list) else {"eq": wanted}
    masks = [_compared(column, each, given, f"{place}: where.{name}") for each, given in comparisons.items()]
    return cast("Mask", np.logical_and.reduce(masks))


def _all(table: pa.Table, where: Mapping[str, object], place: str) -> Mask:
    return cast("Mask", np.logical_and.reduce([_fulfils(table, *entry, place) for entry in where.items()]))


def find_column(table: pa.Table, name: str, place: str, key: str = "where") -> pa.Array:
    """Return a column; ``a.b`` is field ``b`` of column ``a`` where no column is called so.

    Raises:
        SourceError: There is none; names the nearest and all.
    """
    names = table.column_names
    if name in names:
        found = table.column(name).combine_chunks()
    else:
        outer, _, inner = name.partition(".")
        if not inner or outer not in names or not pa.types.is_struct(table.schema.field(outer).type):
            near = nearest(name, names)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SourceError(f"{place}: {key}: unknown column {name!r}; {hint}there are {', '.join(names)}")
        try:
            found = pc.struct_field(table.column(outer).combine_chunks(), inner.split("."))
        except (pa.ArrowException, KeyError):
            raise SourceError(f"{place}: {key}: column {outer!r} has no field {inner!r}") from None
    if isinstance(found, pa.ChunkedArray):
        found = found.chunk(0) if found.num_chunks else pa.nulls(0, found.type)
    if pa.types.is_dictionary(found.type):
        found = found.dictionary_decode()
    return pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found) if _is_float(found.type) else found


def _compared(column: pa.Array, name: str, given: object, where: str) -> Mask:
    """Return which values fulfil one comparison."""
    if given is None:  # eq and ne alone
        missing = np.asarray(pc.is_null(column))
        return cast("Mask", missing if name == "eq" else ~missing)
    if pa.types.is_null(column.type):
        return np.zeros(len(column), bool)
    if name == "in":
        masks = [_compared(column, "eq", each, where) for each in cast("list[Scalar]", given)]
        return cast("Mask", np.logical_or.reduce(masks))
    if name == "length":
        lengths = _lengths(column, where)
        parts = [_ORDER[each](lengths, number) for each, number in cast("Mapping[str, int]", given).items()]
        return cast("Mask", np.logical_and.reduce([_mask(part) for part in parts]))
    if name == "contains" and _is_list(column.type):
        return _list_contains(column, cast("Scalar", given), where)
    if name in _TEXTS:
        return _text_compared(column, name, given, where)
    _require_kind(column, cast("Scalar", given), f"{where}.{name}")
    if name in ORDERED and pa.types.is_boolean(column.type):
        raise SourceError(f"{where}.{name}: the column has true and false, which have no order")
    if isinstance(given, float) and not _is_float(column.type):
        column = column.cast(pa.float64())
    try:
        value = pa.scalar(given, column.type)
    except (pa.ArrowException, OverflowError):  # a whole number out of the column's range
        column, value = column.cast(pa.float64()), pa.scalar(float(cast("int", given)), pa.float64())
    return _mask(_ORDER[name](column, value))


def _text_compared(column: pa.Array, name: str, given: object, where: str) -> Mask:
    if not _is_text(column.type) or not isinstance(given, str):
        also = " or lists" if name not in PATTERNS else ""
        raise SourceError(f"{where}.{name}: compares texts{also}, and the column is of type {column.type}")
    try:
        return _mask(_TEXTS[name](column, given))
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{where}.{name}: {given!r} is not a valid RE2 pattern: {' '.join(str(error).split())}"
        ) from None


def _list_contains(column: pa.Array, given: Scalar, where: str) -> Mask:
    flat = column.flatten()
    hits = np.zeros(len(column), bool)
    hits[np.asarray(pc.list_parent_indices(column))[_compared(flat, "eq", given, f"{where}.contains")]] = True
    return hits


def _lengths(column: pa.Array, where: str) -> pa.Array:
    if _is_text(column.type):
        return pc.utf8_length(column)
    if _is_list(column.type):
        return pc.list_value_length(column)
    raise SourceError(f"{where}.length: texts and lists have one, and the column is of type {column.type}")


def _require_kind(column: pa.Array, given: Scalar, where: str) -> None:
    kind = column.type
    if isinstance(given, bool):
        fits = pa.types.is_boolean(kind)
    elif isinstance(given, str):
        fits = _is_text(kind)
    else:
        fits = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not fits:
        first = next((value for value in column if value.is_valid), None)
        holds = f" (such as {str(first)[:40]!r})" if first is not None else ""
        what = "true or false" if isinstance(given, bool) else "a text" if isinstance(given, str) else "a number"
        raise SourceError(f"{where}: {given!r} is {what}, and the column is of type {kind}{holds}")


def _mask(array: pa.Array) -> Mask:
    return np.asarray(pc.fill_null(array, pa.scalar(False)), dtype=bool)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind))
