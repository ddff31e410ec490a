"""Rows of a task, page by page, and those that hold a text; a browser never gets more than a page."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError, UnknownNameError, UserError
from xmtf.sources import SourceData, read_source
from xmtf.studio.interface.browsing import MAX_PAGE, Cell, Column, Row, Rows, WholeRow
from xmtf.tasks import Task

__all__ = ["RowReader", "splits_of"]

_OPEN_SPLITS = 6
"""Splits that are held in memory."""
_OPEN_SEARCHES = 32
_CELL = 300
"""Characters of a value in a page of rows."""
_WHOLE = 1_000_000
_EXACT = 2**53


def splits_of(task: Task) -> list[str]:
    """Return the splits of a task, each once, in the order of the catalogue."""
    return list(dict.fromkeys(name for splits in task.splits.values() for name in splits))


def split_of(task: Task, split: str | None) -> str:
    """Return a split of a task; its first one where none is named.

    Raises:
        UnknownNameError: It has no such split.
    """
    known = splits_of(task)
    if split is not None and split not in known:
        raise UnknownNameError("split", split, known, task.id)
    return split or known[0]


class RowReader:
    """Reads splits once, and remembers which rows a search found."""

    def __init__(self, *, offline: bool = False) -> None:
        """Prepare; nothing is read yet."""
        self._offline = offline
        self._lock = threading.Lock()
        self._open: OrderedDict[tuple[str, str], SourceData] = OrderedDict()
        self._found: OrderedDict[tuple[str, str, str], npt.NDArray[np.int64]] = OrderedDict()
        self._texts: dict[tuple[str, str], list[pa.Array]] = {}

    def data(self, task: Task, split: str) -> SourceData:
        """Return the rows of a split.

        Raises:
            SourceError: They cannot be read.
        """
        with self._lock:  # two requests never read the same split twice
            found = self._open.get((task.id, split))
            if found is None:
                found = read_source(task.source(split), offline=self._offline)
                self._open[task.id, split] = found
                while len(self._open) > _OPEN_SPLITS:
                    old, _ = self._open.popitem(last=False)
                    self._texts.pop(old, None)
            self._open.move_to_end((task.id, split))
            return found

    def page(self, task: Task | None, split: str | None, offset: int, limit: int, query: str) -> Rows:
        """Return a page of the rows that hold a text, all of them without one.

        Where there are no rows, the message says what to do.
        """
        if task is None:
            message = "no task of the catalogue has these templates; give one with --task, or --recipe for your own"
            return _nothing([], None, message)
        name = split_of(task, split)
        try:
            table = self.data(task, name).table
        except UserError as error:
            return _nothing(splits_of(task), name, str(error))
        places = self._search(task, name, table, query) if query else None
        matched = table.num_rows if places is None else len(places)
        start, end = min(max(offset, 0), matched), min(max(offset, 0) + min(limit, MAX_PAGE), matched)
        chosen = np.arange(start, end) if places is None else places[start:end]
        return Rows(
            splits=splits_of(task),
            split=name,
            columns=[Column(name=field.name, type=_type(field.type)) for field in table.schema],
            total=table.num_rows,
            matched=matched,
            offset=start,
            rows=_rows(table, chosen),
            message=None if table.num_rows else f"{task.id} [{name}] has no rows",
        )

    def row(self, task: Task, split: str | None, index: int) -> WholeRow:
        """Return a row whole.

        Raises:
            SourceError: The split cannot be read, or has no such row.
        """
        name = split_of(task, split)
        table = self.slice(task, name, [index])
        values = table.to_pylist()[0]
        return WholeRow(index=index, row={key: _plain(value) for key, value in values.items()})

    def slice(self, task: Task, split: str, indexes: list[int]) -> pa.Table:
        """Return rows by their places.

        Raises:
            SourceError: The split cannot be read, or has no such row.
        """
        table = self.data(task, split).table
        wrong = next((index for index in indexes if not 0 <= index < table.num_rows), None)
        if wrong is not None:
            raise SourceError(f"{task.id} [{split}] has {table.num_rows} rows; {wrong} is not one of them")
        return table.take(pa.array(indexes, pa.int64()))

    def _search(self, task: Task, split: str, table: pa.Table, query: str) -> npt.NDArray[np.int64]:
        name = (task.id, split, query)
        with self._lock:
            found = self._found.get(name)
            if found is not None:
                return found
            texts = self._texts.get(name[:2])
            if texts is None:
                texts = [_as_texts(table.column(index)) for index in range(table.num_columns)]
                self._texts[name[:2]] = texts
            mask = np.zeros(table.num_rows, bool)
            for column in texts:
                held = pc.match_substring(column, query, ignore_case=True).fill_null(False)
                mask |= held.to_numpy(zero_copy_only=False)
            found = np.flatnonzero(mask).astype(np.int64)
            self._found[name] = found
            if len(self._found) > _OPEN_SEARCHES:
                self._found.popitem(last=False)
            return found


def _nothing(splits: list[str], split: str | None, message: str) -> Rows:
    return Rows(splits=splits, split=split, columns=[], total=0, matched=0, offset=0, rows=[], message=message)


def _rows(table: pa.Table, places: npt.NDArray[np.int64]) -> list[Row]:
    taken = table.take(pa.array(places))
    columns = [_python(taken.column(index)) for index in range(taken.num_columns)]
    if not columns:
        return [Row(index=int(place), cells=[]) for place in places]
    lines = zip(*columns, strict=True)
    return [
        Row(index=int(place), cells=[_cell(value) for value in line]) for place, line in zip(places, lines, strict=True)
    ]


def _python(column: pa.ChunkedArray) -> list[object]:
    values: list[object] = column.to_pylist()
    return values


def _cell(value: object) -> Cell:
    text = _text(value)
    return Cell(text=text[:_CELL], long=len(text) > _CELL)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, (list, dict)):
        return _json(value).decode()
    return str(value)


def _json(value: object) -> bytes:
    return orjson.dumps(_plain(value), option=orjson.OPT_NON_STR_KEYS)


def _plain(value: object) -> object:
    """Return a value as JSON can hold it: whole numbers beyond a browser's, dates and others as texts."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if len(value) <= _WHOLE else f"{value[:_WHOLE]}… ({len(value):,} characters)"
    return str(value)


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.string())
    return pa.chunked_array([pa.array(_texts(chunk), pa.string()) for chunk in column.chunks], pa.string())


def _texts(chunk: pa.Array) -> Iterator[str]:
    return (_text(value) for value in chunk.to_pylist())


def _type(kind: pa.DataType) -> str:
    return str(kind).replace("large_string", "string")
