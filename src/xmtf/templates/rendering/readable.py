"""Columns of every Arrow type as templates read them: text, numbers, lists and mappings, and nulls where nothing is.

In fixed mode a number that is none (NaN, infinity) is null, as pandas means it, and ``float32`` is read as the
shortest number that it stands for: 0.1, not 0.10000000149011612.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import TemplateError

__all__ = ["is_text", "readable_column"]

_NANOSECONDS = {pa.time64("ns"): pa.time64("us"), pa.duration("ns"): pa.duration("us")}
"""Types whose values Python cannot write whole: read in microseconds, or refused."""


def readable_column(column: pa.ChunkedArray, name: str, exact: bool) -> pa.ChunkedArray:
    """Return a column in a type that templates understand.

    Args:
        column: Of any type.
        name: Its name, for messages.
        exact: Whether numbers are read as fixed mode does.

    Raises:
        TemplateError: It holds moments with nanoseconds; in fixed mode bytes, intervals, or times with nanoseconds.
    """
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return column
    if exact and (what := _no_text(kind)):
        raise TemplateError(
            f"the column {name!r} holds {what} ({kind}); write it as text, or remove it from the template"
        )
    if _holds_moments(kind):
        for chunk in column.chunks:
            _check_moments(chunk, name)
    if not _is_odd(kind, exact):
        return column
    try:
        return pa.chunked_array([_read(chunk, exact) for chunk in column.chunks or [pa.array([], kind)]])
    except pa.ArrowInvalid as error:
        raise TemplateError(f"the column {name!r} ({kind}) cannot be read: {' '.join(str(error).split())}") from None


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of a type can be printed: not bytes, nor intervals."""
    return _no_text(kind) is None


def _no_text(kind: pa.DataType) -> str | None:
    """Describe what a column holds that has no text, however it is laid out; None where it has one."""
    if isinstance(kind, pa.BaseExtensionType):
        return _no_text(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _no_text(kind.value_type)
    if pa.types.is_interval(kind):
        return "intervals"
    return "bytes" if _is_bytes(kind) else None


def _is_bytes(kind: pa.DataType) -> bool:
    types = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(is_one(kind) for is_one in types)


def _is_odd(kind: pa.DataType, exact: bool) -> bool:
    """Return whether values of a type are read in another type."""
    if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return True
    if pa.types.is_string_view(kind) or _is_list_view(kind):
        return True
    if _is_moment_in_nanoseconds(kind) or (exact and (pa.types.is_floating(kind) or kind in _NANOSECONDS)):
        return True
    if pa.types.is_map(kind):
        return _is_odd(kind.item_type, exact)  # read as a mapping when its values become Python's
    return any(_is_odd(kind.field(number).type, exact) for number in range(kind.num_fields))


def _is_moment_in_nanoseconds(kind: pa.DataType) -> bool:
    """Return whether Python could only write values whole as pandas does, where that is installed."""
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")


def _in_microseconds(kind: pa.DataType) -> pa.DataType | None:
    """Return the type in microseconds of one in nanoseconds; None of any other."""
    return pa.timestamp("us", kind.tz) if _is_moment_in_nanoseconds(kind) else _NANOSECONDS.get(kind)


def _holds_moments(kind: pa.DataType) -> bool:
    """Return whether a type has dates, moments or durations, however deep."""
    if isinstance(kind, pa.BaseExtensionType):
        return _holds_moments(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _holds_moments(kind.value_type)
    is_moment = pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind)
    return bool(is_moment) or any(_holds_moments(kind.field(number).type) for number in range(kind.num_fields))


def _check_moments(array: pa.Array, name: str) -> None:
    """Refuse dates and moments that Python cannot hold: of other years than 1 to 9999, or in unknown time zones."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        _check_moments(array.storage, name)
    elif pa.types.is_dictionary(kind):
        _check_moments(array.dictionary, name)
    elif pa.types.is_run_end_encoded(kind):
        _check_moments(array.values, name)
    elif kind.num_fields:
        for child in _children(array):
            _check_moments(child, name)
    elif _holds_moments(kind):
        number = pa.int32() if pa.types.is_date32(kind) else pa.int64()
        ends = pc.min_max(array.cast(number)).as_py().values()
        for end in (each for each in ends if each is not None):
            try:
                _as_python(end, number, kind)
            except (OverflowError, ValueError, LookupError) as error:
                raise TemplateError(
                    f"the column {name!r} ({kind}) cannot be read: {end} is a moment that Python cannot hold "
                    f"({' '.join(str(error).split())}); write it as text, or remove it from the template"
                ) from None


def _children(array: pa.Array) -> list[pa.Array]:
    """Return the arrays that a nested one is made of."""
    if pa.types.is_map(array.type):
        return [array.keys, array.items]
    if pa.types.is_struct(array.type) or pa.types.is_union(array.type):
        return [array.field(number) for number in range(array.type.num_fields)]
    return [array.flatten()]


def _as_python(value: int, number: pa.DataType, kind: pa.DataType) -> object:
    """Return a moment or duration of a type; nanoseconds are cut off."""
    if not pa.types.is_date(kind) and kind.unit == "ns":
        value //= 1000
        kind = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
    moment: object = pa.scalar(value, number).cast(kind).as_py()
    return moment


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _read(array: pa.Array, exact: bool) -> pa.Array:
    kind = array.type
    if not _is_odd(kind, exact):
        return array
    if isinstance(kind, pa.BaseExtensionType):
        truths = kind.extension_name == "arrow.bool8"
        return _read(array.storage.cast(pa.bool_()) if truths else array.storage, exact)
    if (shorter := _in_microseconds(kind)) is not None:
        return array.cast(shorter)
    if pa.types.is_dictionary(kind):
        return _read(array.dictionary_decode(), exact)
    if pa.types.is_run_end_encoded(kind):
        return _read(pc.run_end_decode(array), exact)
    if pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if _is_list_view(kind):
        sizes = np.where(np.asarray(array.is_valid()), np.asarray(pc.fill_null(array.sizes, 0)), 0)
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())
        mask = array.is_null() if array.null_count else None
        return _read(pa.LargeListArray.from_arrays(offsets, array.flatten(), mask=mask), exact)
    if pa.types.is_floating(kind):
        return _finite(array)
    if pa.types.is_struct(kind):
        children = [_read(array.field(number), exact) for number in range(kind.num_fields)]
        return pa.StructArray.from_arrays(children, names=[field.name for field in kind], mask=array.is_null())
    if pa.types.is_map(kind):
        offsets, first = _offsets(array), np.asarray(array.offsets)[:-1]
        sizes = np.diff(np.asarray(offsets))
        places = pa.array(np.repeat(first - np.asarray(offsets)[:-1], sizes) + np.arange(int(sizes.sum())))
        keys, items = array.keys.take(places), array.items.take(places)
        return pa.MapArray.from_arrays(offsets, keys, _read(items, exact), mask=_nulls(array))
    if pa.types.is_fixed_size_list(kind):
        return _read(array.cast(pa.list_(kind.value_type)), exact)
    listed = pa.LargeListArray if pa.types.is_large_list(kind) else pa.ListArray
    return listed.from_arrays(_offsets(array), _read(array.flatten(), exact), mask=_nulls(array))


def _offsets(array: pa.Array) -> pa.Array:
    """Return where each list begins among the items of all that are not null, and where the last ends."""
    sizes = np.where(np.asarray(array.is_valid()), np.diff(np.asarray(array.offsets)), 0)
    return pa.array(np.concatenate([[0], np.cumsum(sizes)]), array.offsets.type)


def _nulls(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def _finite(array: pa.Array) -> pa.Array:
    """Return the numbers as ``float64``: each the shortest that it stands for, and null where it is none."""
    if array.type == pa.float32():
        array = array.cast(pa.string()).cast(pa.float64())
    elif array.type == pa.float16():
        array = pa.array(
            [None if half is None else float(str(np.float16(half))) for half in array.to_pylist()], pa.float64()
        )
    return pc.if_else(pc.is_finite(array), array, None)
