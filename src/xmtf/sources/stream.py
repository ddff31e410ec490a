"""Splits that are too large to be held: their rows block by block, all under one schema.

One pass over a file of text finds the types of its columns, a second one yields its rows; Parquet says its types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.sources.files.delimited import Delimited, all_whole
from xmtf.sources.files.json_tables import JsonBlocks
from xmtf.sources.files.kinds import require_kind
from xmtf.sources.files.plain_types import plain_schema
from xmtf.sources.hub.remote import RemoteFile
from xmtf.sources.read import files_of, fingerprint_source, remote_files
from xmtf.sources.reference import SourceRef
from xmtf.sources.tables import read_blocks

__all__ = ["SourceStream", "open_stream", "stream_files"]

STREAMED_BYTES = 2**28
"""Splits with fewer bytes are read whole."""

_UNPACKED = 4
"""Times that packed files and Parquet hold more bytes than they take."""

_TEXT_TABLES = (".csv", ".tsv")


@dataclass(frozen=True, slots=True)
class SourceStream:
    """The rows of a split, not read yet.

    Attributes:
        ref: The split.
        files: Its files, in order; of the hub where no copy is kept.
        schema: Of all rows.
        num_rows: Their number.
        fingerprint: Hash of the content.
    """

    ref: SourceRef
    files: tuple[Path | RemoteFile, ...]
    schema: pa.Schema
    num_rows: int
    fingerprint: str

    def blocks(self) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of its first row, some thousand rows).

        Raises:
            SourceError: A file cannot be read, or is not what it was.
        """
        first = 0
        empty = self.schema.empty_table()
        for file in self.files:
            for block in _fitted(file, self.schema, self.ref):
                whole = pa.concat_tables([empty, block], promote_options="permissive")
                yield first, whole.select(self.schema.names)
                first += block.num_rows
        if first != self.num_rows:
            raise SourceError(f"{self.ref}: its files changed while they were read")


def open_stream(ref: SourceRef, *, offline: bool = False) -> SourceStream | None:
    """Return the stream of a split, or None where it is small, not in files on this machine, or needs an adapter.

    Raises:
        SourceError: A file cannot be read, or the files have different columns.
    """
    if ref.adapter is not None:
        return None
    files: Sequence[Path | RemoteFile] = files_of(ref) or remote_files(ref, offline=offline)
    if sum(_size(file) for file in files) < STREAMED_BYTES:
        return None
    return stream_files(ref, files, fingerprint_source(ref, offline=offline))


def stream_files(ref: SourceRef, files: Sequence[Path | RemoteFile], fingerprint: str = "") -> SourceStream:
    """Return the stream of a split that stands in files.

    Raises:
        SourceError: A file cannot be read, or they have different columns.
    """
    found = [_scan(file, ref) for file in files]
    try:
        schema = pa.unify_schemas([schema for schema, _ in found], promote_options="permissive")
    except pa.ArrowException as error:
        raise SourceError(f"{files[0]} and its other shards do not have the same columns: {error}") from None
    return SourceStream(ref, tuple(files), schema, sum(number for _, number in found), fingerprint)


def _size(file: Path | RemoteFile) -> int:
    if isinstance(file, RemoteFile):
        return file.file.size * _UNPACKED
    kind = require_kind(file)
    return file.stat().st_size * (_UNPACKED if kind.packing or kind.rows == ".parquet" else 1)


def _scan(file: Path | RemoteFile, ref: SourceRef) -> tuple[pa.Schema, int]:
    """Return the columns of a file and the number of its rows."""
    if isinstance(file, RemoteFile):
        return file.schema()
    kind = require_kind(file)
    if kind.rows == ".parquet" and not kind.packing:
        try:
            with pq.ParquetFile(file) as parquet:
                return plain_schema(parquet.schema_arrow.remove_metadata(), file), parquet.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None
    if kind.rows in (".jsonl", ".ndjson", ".json"):
        return JsonBlocks(file, kind.rows == ".json", ref.as_json).scan()
    schema, rows, whole = pa.schema([]), 0, set[str]()
    for block in read_blocks(file, separator=ref.separator):
        names = {name for name in block.column_names if kind.rows in _TEXT_TABLES and all_whole(block.column(name))}
        whole = names if rows == 0 else whole & names
        schema, rows = block.schema, rows + block.num_rows
    types = [pa.field(each.name, pa.int64()) if each.name in whole else each for each in schema]
    return pa.schema(types), rows


def _fitted(file: Path | RemoteFile, schema: pa.Schema, ref: SourceRef) -> Iterator[pa.Table]:
    if isinstance(file, RemoteFile):
        yield from file.blocks()
        return
    kind = require_kind(file)
    if kind.rows in (".jsonl", ".ndjson", ".json"):
        blocks = JsonBlocks(file, kind.rows == ".json", ref.as_json)
        yield from (blocks.fitted(block, schema) for block in blocks)
    elif kind.rows in _TEXT_TABLES:
        for block in Delimited(file, quoted=kind.rows == ".csv", separator=ref.separator):
            types = [schema.field(name) for name in block.column_names]
            yield block.cast(pa.schema(types))
    else:
        yield from read_blocks(file)
