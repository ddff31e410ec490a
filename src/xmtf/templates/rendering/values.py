"""Values of a column as templates see them: followed into structs and lists, as text, as a condition.

Each function does for a whole Arrow column what Jinja and Python do for one value, or raises
``RowByRowError`` where that is not certain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import nodes

from xmtf.templates.rendering.compile import PIPES, environment
from xmtf.templates.rendering.readable import is_text
from xmtf.templates.rendering.shape import Field, read_field

__all__ = [
    "RowByRowError",
    "Values",
    "cut_texts",
    "find_values",
    "list_texts",
    "read_index",
    "slice_texts",
    "test_rows",
    "write_texts",
]

_LEGACY_LENGTH = 2048
_LEGACY_LEEWAY = 5
_ORDERS: dict[str, Callable[[pa.Array, Any], pa.BooleanArray]] = {
    "gt": pc.greater,
    "gteq": pc.greater_equal,
    "lt": pc.less,
    "lteq": pc.less_equal,
}


class RowByRowError(Exception):
    """This table cannot be rendered by column."""


@dataclass(frozen=True, slots=True)
class Values:
    """Values found in a column, and where there were any: elsewhere they are undefined.

    Attributes:
        values: One a row.
        defined: boolean, or None where all are.
    """

    values: pa.Array
    defined: pa.BooleanArray | None = None


def find_values(batch: pa.Table, field: Field) -> Values:
    """Follow ``answers.text[0]`` into the structs and lists of a column.

    A value that is not there is undefined, and so is anything inside None; following an undefined value
    further is an error of that row, which rendering row by row reports.

    Raises:
        RowByRowError: That, or a step that means something else for this type.
    """
    if field.name not in batch.column_names:
        raise RowByRowError
    column, defined = _one_chunk(batch.column(field.name)), None
    for step in field.path:
        if defined is not None and not pc.all(defined).as_py():
            raise RowByRowError
        kind = column.type
        if pa.types.is_struct(kind) and isinstance(step, str) and step in {child.name for child in kind}:
            defined = pc.is_valid(column)
            column = pc.struct_field(column, step)
        elif pa.types.is_list(kind) and isinstance(step, int) and step >= 0:
            defined = pc.fill_null(pc.greater(pc.list_value_length(column), step), False)
            positions = pc.add(column.offsets.slice(0, len(column)), step)
            column = column.values.take(pc.if_else(defined, positions, None))
        else:
            raise RowByRowError
    return Values(column, defined)


def slice_texts(found: Values, start: int | None, stop: int | None, *, prints_nulls: bool) -> Values:
    """Return ``text[start:stop]`` of every text.

    Raises:
        RowByRowError: Not all are texts.
    """
    if found.defined is not None or (prints_nulls and found.values.null_count):
        raise RowByRowError
    if not pa.types.is_string(found.values.type):
        raise RowByRowError
    return Values(pc.utf8_slice_codeunits(found.values, start or 0, stop))


def list_texts(found: Values) -> pa.ListArray:
    """Return lists of texts that hold nothing else, with values that begin at their first item.

    Raises:
        RowByRowError: There are other types, or missing lists or items.
    """
    column = found.values
    if found.defined is not None or column.null_count or not pa.types.is_list(column.type):
        raise RowByRowError
    items = column.flatten()
    if not pa.types.is_string(column.type.value_type) or items.null_count:
        raise RowByRowError
    offsets = column.offsets
    return pa.ListArray.from_arrays(pc.subtract(offsets, offsets[0]), items)


def read_index(found: Values, as_int: bool, offset: int, *, prints_nulls: bool) -> pa.Int64Array:
    """Return ``label``, ``label | int`` or ``label | int - 1`` of every row; null where it is null.

    A text that is not a number is 0 in legacy mode (``prints_nulls``), as Jinja has it, and null else.

    Raises:
        RowByRowError: Not all are whole numbers, or texts for the filter ``int``.
    """
    column = found.values
    if found.defined is not None or (prints_nulls and offset and column.null_count and not as_int):
        raise RowByRowError
    if as_int and pa.types.is_string(column.type):
        otherwise: Any = 0 if prints_nulls else None
        numbers = [jinja2.filters.do_int(value, otherwise) for value in column.to_pylist()]
        if any(number is not None and abs(number) >= 2**53 for number in numbers):
            raise RowByRowError
        column = pa.array(numbers, pa.int64())
    elif not pa.types.is_integer(column.type) or (prints_nulls and as_int and column.null_count):
        raise RowByRowError
    return pc.add(column.cast(pa.int64()), offset)


def write_texts(found: Values, *, prints_nulls: bool) -> pa.StringArray:
    """Return every value as Python would print it.

    Args:
        found: The values.
        prints_nulls: Whether a null is printed as None and an undefined value as nothing (legacy mode); else they are
            null.

    Raises:
        RowByRowError: They are lists or mappings, which are looked into before they are printed, or are no text.
    """
    texts = _written(found.values, prints_nulls)
    if found.defined is None:
        return texts
    return pc.if_else(found.defined, texts, "" if prints_nulls else None)


def _written(column: pa.Array, prints_nulls: bool) -> pa.StringArray:
    kind = column.type
    if pa.types.is_string(kind):
        texts = column
    elif pa.types.is_integer(kind) or pa.types.is_large_string(kind):
        texts = column.cast(pa.string())
    elif pa.types.is_boolean(kind):
        texts = pc.if_else(column, "True", "False")
    elif not prints_nulls and (pa.types.is_nested(kind) or not is_text(kind)):
        raise RowByRowError
    else:
        texts = pa.array([None if value is None else str(value) for value in column.to_pylist()], pa.string())
    return pc.fill_null(texts, "None") if prints_nulls and texts.null_count else texts


def cut_texts(column: pa.StringArray) -> pa.StringArray:
    """Cut texts as ``truncate(2048)`` does; those of up to 2,053 characters stay whole."""
    long = pc.greater(pc.utf8_length(column), _LEGACY_LENGTH + _LEGACY_LEEWAY)
    if not pc.any(long).as_py():
        return column
    truncate: Callable[..., str] = jinja2.filters.do_truncate
    jinja = environment()
    texts = [truncate(jinja, text, _LEGACY_LENGTH) for text in column.filter(long).to_pylist()]
    return pc.replace_with_mask(column, long, pa.array(texts, pa.string()))


def test_rows(batch: pa.Table, test: nodes.Expr) -> pa.BooleanArray:
    """Return for each row whether a condition holds, without nulls.

    Understood are a field by itself, its comparison with a constant or with ``[]``, its length, and
    ``not``, ``and``, ``or`` of these.

    Raises:
        RowByRowError: The condition asks for something else.
    """
    if isinstance(test, nodes.Not):
        return pc.invert(test_rows(batch, test.node))
    if isinstance(test, nodes.And | nodes.Or):
        combine = pc.and_ if isinstance(test, nodes.And) else pc.or_
        return combine(test_rows(batch, test.left), test_rows(batch, test.right))
    if isinstance(test, nodes.Compare) and len(test.ops) == 1:
        return _compare(batch, test.expr, test.ops[0].op, test.ops[0].expr)
    field = read_field(test)
    if field is None:
        raise RowByRowError
    found = find_values(batch, field)
    return _defined(found, _truth(found.values))


def _defined(found: Values, held: pa.BooleanArray) -> pa.BooleanArray:
    held = pc.fill_null(held, False)
    return held if found.defined is None else pc.and_(held, found.defined)


def _truth(column: pa.Array) -> pa.BooleanArray:
    kind = column.type
    if pa.types.is_boolean(kind):
        return column
    if pa.types.is_string(kind):
        return pc.greater(pc.binary_length(column), 0)
    if pa.types.is_integer(kind):
        return pc.not_equal(column, 0)
    if pa.types.is_list(kind):
        return pc.greater(pc.list_value_length(column), 0)
    raise RowByRowError


def _compare(batch: pa.Table, left: nodes.Expr, how: str, right: nodes.Expr) -> pa.BooleanArray:
    if isinstance(left, nodes.Filter) and left.name in ("length", "count") and not left.args and left.node is not None:
        return _compare_length(batch, left.node, how, right)
    field = read_field(left)
    if field is None:
        raise RowByRowError
    found = find_values(batch, field)
    if isinstance(right, nodes.List) and not right.items and pa.types.is_list(found.values.type):
        equal = pc.equal(pc.list_value_length(found.values), 0)
    else:
        constant = _constant(right)
        if how in _ORDERS:
            return _order(found, how, constant)
        equal = _equal(found.values, constant)
    held = _defined(found, equal)
    if how == "eq":
        return held
    if how == "ne":
        return pc.invert(held)
    raise RowByRowError


def _constant(node: nodes.Expr) -> str | float:
    """Return a constant of the source; true and false as 1 and 0, which Python compares equal."""
    if isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const) and type(node.node.value) in (int, float):
        return -float(node.node.value) if isinstance(node.node.value, float) else -int(node.node.value)
    if not isinstance(node, nodes.Const):
        raise RowByRowError
    if isinstance(node.value, str) and "|" not in node.value:
        return node.value
    if isinstance(node.value, float):
        return float(node.value)
    if isinstance(node.value, int) and abs(node.value) < 2**53:
        return int(node.value)
    raise RowByRowError


def _equal(column: pa.Array, constant: str | float) -> pa.BooleanArray:
    kind = column.type
    text = isinstance(constant, str)
    if pa.types.is_string(kind):
        return pc.equal(column, constant) if text else pa.repeat(pa.scalar(False), len(column))
    if pa.types.is_integer(kind):
        return pa.repeat(pa.scalar(False), len(column)) if text else pc.equal(column, pa.scalar(constant))
    if pa.types.is_boolean(kind) and not text:
        return pc.equal(column.cast(pa.int8()), pa.scalar(constant))
    raise RowByRowError


def _order(found: Values, how: str, constant: str | float) -> pa.BooleanArray:
    column = found.values
    if found.defined is not None or column.null_count or isinstance(constant, str):
        raise RowByRowError
    if not (pa.types.is_integer(column.type) or pa.types.is_float64(column.type)):
        raise RowByRowError
    return _ORDERS[how](column, pa.scalar(constant))


def _compare_length(batch: pa.Table, node: nodes.Expr, how: str, right: nodes.Expr) -> pa.BooleanArray:
    field, constant = read_field(node), _constant(right)
    if field is None or isinstance(constant, str):
        raise RowByRowError
    found = find_values(batch, field)
    if found.defined is not None or found.values.null_count:
        raise RowByRowError
    if pa.types.is_list(found.values.type):
        lengths = pc.list_value_length(found.values)
    elif pa.types.is_string(found.values.type):
        if pc.any(pc.match_substring(found.values, PIPES)).as_py():
            raise RowByRowError  # legacy mode counts what stands for the pipes
        lengths = pc.utf8_length(found.values)
    else:
        raise RowByRowError
    compare = {"eq": pc.equal, "ne": pc.not_equal, **_ORDERS}.get(how)
    if compare is None:
        raise RowByRowError
    return compare(lengths, pa.scalar(constant))


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
