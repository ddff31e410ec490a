"""Splits that are too large to be held: their rows block by block, all under one schema.

One pass over a file of text finds the types of its columns, a second one yields its rows; Parquet says its types. An
adapter makes its rows of each block; where it takes the best of a split, a pass before finds which those are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.sources.adapters import Entry, choose_best, look_up
from xmtf.sources.adapters.base import Adapted, numbers
from xmtf.sources.files.csv_tables import Delimited, all_whole
from xmtf.sources.files.json_tables import JsonBlocks
from xmtf.sources.files.kinds import require_kind
from xmtf.sources.files.plain_types import plain_schema
from xmtf.sources.hub.remote import RemoteFile
from xmtf.sources.read import files_of, fingerprint_source, remote_files
from xmtf.sources.reference import SourceRef
from xmtf.sources.tables import check_columns, read_blocks

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

    def blocks(self, column: str | None = None) -> Iterator[tuple[int, pa.Table]]:
        """Yield (number of its first row, some thousand rows); of Parquet files, one column alone where it is named.

        Raises:
            SourceError: A file cannot be read, or is not what it was.
        """
        first = 0
        empty = self.schema.empty_table() if column is None else self.schema.empty_table().select([column])
        for file in self.files:
            for block in _fitted(file, self.schema, self.ref, column):
                part = block if column is None else block.select([column])
                yield first, pa.concat_tables([empty, part], promote_options="permissive").select(empty.column_names)
                first += block.num_rows
        if first != self.num_rows:
            raise SourceError(f"{self.ref}: its files changed while they were read")

    def adapted(self) -> Iterator[Adapted]:
        """Yield some thousand rows at a time as templates see them, numbered as in the split.

        Raises:
            SourceError: As :meth:`blocks`, or they are not what the adapter expects.
        """
        entry = None if self.ref.adapter is None else look_up(self.ref.adapter)
        if entry is None:
            for first, block in self.blocks():
                yield Adapted(block, np.arange(first, first + block.num_rows, dtype=np.int64))
            return
        best = self._best(entry)
        seen = [np.empty(0, np.int64)]
        for first, block in self._whole_groups(entry.group):
            places, dropped = np.arange(first, first + block.num_rows, dtype=np.int64), dict[str, int]()
            if best is not None:
                mask = np.isin(places, best, assume_unique=True)
                places, block = places[mask], block.filter(pa.array(mask))
                dropped = {entry.not_best: int(len(mask) - mask.sum())} if not mask.all() else {}
            made = entry.make(self.ref, block, first)
            if entry.keyed and made.rows is not None:
                seen.append(made.rows)
                yield made
            else:
                rows = places if made.rows is None else places[made.rows]
                yield Adapted(made.table, rows, dropped | made.dropped)
        keys = np.concatenate(seen)
        if len(np.unique(keys)) < len(keys):
            raise SourceError(f"{self.ref}: adapter {self.ref.adapter!r}: two rows have the same key")

    def _best(self, entry: Entry) -> np.ndarray | None:
        """Return the numbers of the rows that an adapter takes the best of, ascending; few more are held meanwhile."""
        if entry.best is None:
            return None
        name, count = entry.best
        rows, scores = np.empty(0, np.int64), np.empty(0)
        for first, block in self.blocks(name) if name in self.schema.names else self.blocks():
            rows = np.concatenate([rows, np.arange(first, first + block.num_rows, dtype=np.int64)])
            scores = np.concatenate([scores, numbers(self.ref, block, name)])
            if len(rows) > 2 * count:
                mask = choose_best(scores, count)
                rows, scores = rows[mask], scores[mask]
        best: np.ndarray = rows[choose_best(scores, count)]
        return best

    def _whole_groups(self, name: str | None) -> Iterator[tuple[int, pa.Table]]:
        """Yield the blocks, cut where the values of a column change."""
        if name is None or name not in self.schema.names:
            yield from self.blocks()
            return
        begin, waiting = 0, self.schema.empty_table()
        for _, block in self.blocks():
            waiting = pa.concat_tables([waiting, block])
            last = waiting.slice(max(0, waiting.num_rows - 1)).column(name)
            codes = np.asarray(pc.equal(waiting.column(name), last[0]).fill_null(False)) if len(last) else np.empty(0)
            others = np.flatnonzero(~codes.astype(bool))
            cut = int(others[-1]) + 1 if len(others) else 0
            if cut:
                yield begin, waiting.slice(0, cut)
                begin, waiting = begin + cut, waiting.slice(cut).combine_chunks()
        if waiting.num_rows or not begin:
            yield begin, waiting


def open_stream(ref: SourceRef, *, offline: bool = False) -> SourceStream | None:
    """Return the stream of a split, or None where it is small, not in files, joined, or one of a table of many.

    Raises:
        SourceError: A file cannot be read, or the files have different columns.
    """
    if ref.table or ref.join or (ref.adapter is not None and look_up(ref.adapter).whole):
        return None
    files: Sequence[Path | RemoteFile] = files_of(ref) or remote_files(ref, offline=offline)
    if sum(_size(file) for file in files) < STREAMED_BYTES:
        return None
    return stream_files(ref, files, fingerprint_source(ref, offline=offline))


def stream_files(ref: SourceRef, files: Sequence[Path | RemoteFile], fingerprint: str = "") -> SourceStream:
    """Return the stream of a split that is in files.

    Raises:
        SourceError: A file cannot be read, or they have different columns.
    """
    found = [_scan(file, ref) for file in files]
    check_columns([(str(file), schema.names) for file, (schema, _) in zip(files, found, strict=True)])
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


def _fitted(file: Path | RemoteFile, schema: pa.Schema, ref: SourceRef, column: str | None) -> Iterator[pa.Table]:
    columns = None if column is None else [column]
    if isinstance(file, RemoteFile):
        yield from file.blocks(columns)
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
        yield from read_blocks(file, columns=columns)
