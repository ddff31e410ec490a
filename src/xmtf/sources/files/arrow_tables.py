"""Parquet, Arrow and Feather files as tables, block by block; their texts are checked, as no writer does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.sources.files.plain_types import plain_columns, plain_schema
from xmtf.sources.files.unpack import open_seekable

__all__ = ["arrow_blocks", "parquet_table"]

_BLOCK_ROWS = 65_536
_FILE_MAGIC = b"ARROW1"


def arrow_blocks(path: Path, kind: str, *, packed: bool, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield the rows of a file of kind ``.parquet``, ``.arrow`` or ``.feather``; of no rows one empty table.

    Of Parquet only ``columns`` are read where they are given.

    Raises:
        SourceError: A text in it is no UTF-8; names the column.
        OSError: It cannot be read; as Arrow says it.
        pyarrow.ArrowException: Likewise.
    """
    with open_seekable(path, packed=packed) as place:
        batches = _parquet(place, columns) if kind == ".parquet" else _ipc(place)
        schema = plain_schema(next(batches).remove_metadata(), path)
        empty = True
        for batch in batches:
            table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
            _check(table, path)
            empty = False
            yield plain_columns(table, path)
        if empty:
            yield schema.empty_table()


def parquet_table(path: Path, *, packed: bool) -> pa.Table:
    """Return all rows of a Parquet file.

    Raises:
        SourceError: As :func:`arrow_blocks`; and the others.
    """
    with open_seekable(path, packed=packed) as place, pq.ParquetFile(place) as file:
        table = file.read().replace_schema_metadata(None)
    _check(table, path)
    return plain_columns(table, path)


def _parquet(place: Any, columns: Sequence[str] | None) -> Iterator[Any]:
    with pq.ParquetFile(place) as file:
        yield file.schema_arrow
        yield from file.iter_batches(_BLOCK_ROWS, columns=columns)


def _ipc(place: Any) -> Iterator[Any]:
    with pa.OSFile(place) if isinstance(place, str) else pa.PythonFile(place, "r") as stream:
        is_file = stream.read(len(_FILE_MAGIC)) == _FILE_MAGIC
        stream.seek(0)
        if is_file:
            with pa.ipc.open_file(stream) as reader:
                yield reader.schema
                for number in range(reader.num_record_batches):
                    yield reader.get_batch(number)
        else:
            with pa.ipc.open_stream(stream) as reader:
                yield reader.schema
                yield from reader


def _check(table: pa.Table, path: Path) -> None:
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            said = "contains bytes that are not UTF-8" if "UTF8" in str(error) else f"is damaged ({error})"
            raise SourceError(f"{path}: column {name!r} {said}; rewrite the file") from None
