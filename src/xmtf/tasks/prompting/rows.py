"""The rows of a slice before they are prompted: their languages, where a column says them, and row filters.

Every row that is left out is counted by reason. Filters come before the choice of rows where a slice limits them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError, UnknownNameError
from xmtf.languages.codes import normalize_language
from xmtf.sources import SourceData, read_source
from xmtf.tasks.prompting.fitness import HELD_OUT_LANGUAGE, NO_LANGUAGE, OTHER_LANGUAGE, UNKNOWN_LANGUAGE, First
from xmtf.tasks.prompting.where import find_column, judge_where
from xmtf.tasks.selection import matches
from xmtf.tasks.task import Slice

__all__ = ["SliceRows", "is_refined", "read_rows", "refine_rows"]

_MOST_VALUES = 10_000
"""Different values of a column of languages; one with more holds something else."""


@dataclass(frozen=True, slots=True)
class SliceRows:
    """The rows of a slice, or a piece of them.

    Attributes:
        data: Those that may be prompted.
        languages: Code of the language of each, dictionary-encoded, where a column says it; else None.
        dropped: The others, counted by reason; what the adapter left out is in ``data``.
        firsts: Reason -> the first such row.
    """

    data: SourceData
    languages: pa.DictionaryArray | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, First] = field(default_factory=dict)

    def taken(self, places: npt.NDArray[np.int64]) -> SliceRows:
        """Return some of the rows, by their ascending places; what was left out stays as it is."""
        if len(places) == self.data.table.num_rows:
            return self
        at = pa.array(places)
        data = replace(self.data, table=self.data.table.take(at), rows=self.data.rows[places])
        return replace(self, data=data, languages=None if self.languages is None else self.languages.take(at))

    @property
    def num_read(self) -> int:
        """Rows before the filters."""
        return int(self.data.table.num_rows) + sum(self.dropped.values())


def read_rows(slice_: Slice, *, offline: bool = False) -> SliceRows:
    """Read the rows of a slice.

    Raises:
        SourceError: They cannot be read, or a filter does not fit them.
    """
    return refine_rows(slice_, read_source(slice_.task.source(slice_.split), offline=offline))


def is_refined(slice_: Slice) -> bool:
    """Return whether filters may leave rows of a slice out."""
    return bool(slice_.task.language_column or slice_.task.where or slice_.where)


def refine_rows(slice_: Slice, data: SourceData) -> SliceRows:
    """Leave out the rows that the filters of a slice do, and find the languages of the others.

    Raises:
        SourceError: A filter names a column that is not there, or compares it with what it does not hold.
    """
    if not is_refined(slice_):
        return SliceRows(data)
    place = f"{slice_.task.id} [{slice_.split}]"
    column = _read_languages(slice_.task.language_column, data.table, place) if slice_.task.language_column else None
    kept = np.ones(data.table.num_rows, bool)
    found = SliceRows(data, None if column is None else column.codes)
    drops = [*([] if column is None else _of_languages(slice_, column)), *_of_filters(slice_, data.table, place)]
    for reason, rows, detail in drops:
        hit = np.flatnonzero(kept & rows)
        if len(hit):
            found.dropped[reason] = len(hit)
            found.firsts[reason] = First(int(data.rows[hit[0]]), detail(int(hit[0])))
            kept[hit] = False
    return found if kept.all() else found.taken(np.flatnonzero(kept))


_Drop = tuple[str, npt.NDArray[np.bool_], Callable[[int], str]]
"""Reason, the rows that it is true of, and what exactly is wrong with one of them."""


def _of_filters(slice_: Slice, table: pa.Table, place: str) -> Iterator[_Drop]:
    for where in (*filter(None, [slice_.task.where]), *slice_.where):
        for reason, name, mask in judge_where(table, where, place):

            def detail(at: int, name: str = name) -> str:
                return f"{name} is {_quoted(find_column(table, name, place)[at].as_py())}" if name else ""

            yield reason, ~mask, detail


@dataclass(frozen=True, slots=True)
class _Languages:
    """A column of languages.

    Attributes:
        codes: Code of each row, null where it has none or an unknown one.
        values: What is there, dictionary-encoded.
        unknown: Value -> why it is not a language.
    """

    codes: pa.DictionaryArray
    values: pa.DictionaryArray
    unknown: dict[str, str]


def _read_languages(name: str, table: pa.Table, place: str) -> _Languages:
    column = find_column(table, name, place, "language_column")
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise SourceError(f"{place}: language_column {name!r} is of type {column.type}; give a column of texts")
    values = column.dictionary_encode()
    listed = values.dictionary.to_pylist()
    if len(listed) > _MOST_VALUES:
        raise SourceError(
            f"{place}: language_column {name!r} holds {len(listed):,} different values, such as "
            f"{_quoted(listed[0])}; give the column with the language of each row"
        )
    codes, unknown = list[str | None](), dict[str, str]()
    for value in listed:
        try:
            codes.append(normalize_language(value))
        except UnknownNameError as error:
            codes.append(None)
            unknown[value] = str(error)
    known = {code: number for number, code in enumerate(dict.fromkeys(filter(None, codes)))}
    of_value = pa.array([None if code is None else known[code] for code in codes], pa.int32())
    found = pa.DictionaryArray.from_arrays(of_value.take(values.indices), pa.array(list(known), pa.string()))
    return _Languages(found, values, unknown)


def _of_languages(slice_: Slice, column: _Languages) -> Iterator[_Drop]:
    missing = np.asarray(pc.is_null(column.values))
    yield NO_LANGUAGE, missing, lambda at: f"{slice_.task.language_column} is null"
    yield UNKNOWN_LANGUAGE, np.asarray(pc.is_null(column.codes)), lambda at: column.unknown[column.values[at].as_py()]
    taken, codes = slice_.row_languages, column.codes.dictionary.to_pylist()
    if taken is None:
        return
    number = np.asarray(pc.fill_null(column.codes.indices, -1))

    def of(code: int) -> str:
        return str(codes[number[code]])

    others = [at for at, code in enumerate(codes) if not matches(code, taken.languages, taken.without)]
    yield OTHER_LANGUAGE, np.isin(number, others), of
    held_out = [at for at, code in enumerate(codes) if matches(code, taken.held_out)]
    yield HELD_OUT_LANGUAGE, np.isin(number, held_out), of


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
