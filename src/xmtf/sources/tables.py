"""Table files as people keep them: the one reader of every room.

========================== ==================================================================================
``.parquet``               as it is
``.arrow`` ``.feather``    files and streams of Arrow
``.jsonl`` ``.ndjson``     an object per line
``.json``                  an object per line, or an array of objects
``.csv`` ``.tsv``          the first line names the columns; the separator is found, or given
========================== ==================================================================================

Each also packed: ``.gz``, ``.zst``, ``.bz2``, ``.xz``. Types are inferred cautiously: text stays text (no dates, no
``NA``), and only columns in which every value is a plain integer become integers, because templates index answer
choices with them.
"""

from __future__ import annotations

import contextlib
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.files import content_hash, file_sha256
from xmtf.sources.files.arrow_tables import arrow_blocks, parquet_table
from xmtf.sources.files.csv_tables import Delimited, with_integers
from xmtf.sources.files.json_tables import JsonBlocks
from xmtf.sources.files.kinds import SUFFIXES, FileKind, require_kind

__all__ = [
    "SUFFIXES",
    "check_columns",
    "fingerprint_files",
    "hash_of",
    "read_blocks",
    "read_table_file",
    "read_table_files",
    "require_file",
]

_JSON = (".jsonl", ".ndjson", ".json")
_ARROW = (".parquet", ".arrow", ".feather")


def read_table_files(paths: Sequence[Path], *, separator: str | None = None, as_json: Sequence[str] = ()) -> pa.Table:
    """Read the shards of one split, in order, as one table; arguments as of :func:`read_table_file`.

    Raises:
        SourceError: A file is unreadable, or the shards have different columns.
    """
    tables = [read_table_file(path, separator=separator, as_json=as_json) for path in paths]
    check_columns([(str(path), table.column_names) for path, table in zip(paths, tables, strict=True)])
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise SourceError(f"{paths[0]} and its other shards do not have the same columns: {error}") from None


def check_columns(files: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Refuse files of one split of which each has a column that the other lacks: its rows would have nulls there.

    Args:
        files: Path and columns of each; one with rows.

    Raises:
        SourceError: Names two such files and the columns.
    """
    with_columns = [(path, set(columns)) for path, columns in files if columns]
    for path, columns in with_columns[1:]:
        first, known = with_columns[0]
        if columns - known and known - columns:
            ours, others = (", ".join(map(repr, sorted(names))) for names in (known - columns, columns - known))
            raise SourceError(
                f"{path}: has {others} where {first} has {ours}; files of one split have the same columns"
            )


def require_file(path: Path) -> None:
    """Refuse a path that is no file.

    Raises:
        SourceError: Says whether it is a folder, or a pattern.
    """
    if path.is_dir():
        raise SourceError(f"{path}: is a folder; name its files")
    if not path.is_file():
        pattern = "; patterns are not read: name each file" if set("*?[") & set(path.name) else ""
        raise SourceError(f"{path}: no such file (looked in {path.parent.resolve()}){pattern}")


def read_table_file(path: Path, *, separator: str | None = None, as_json: Sequence[str] = ()) -> pa.Table:
    """Read one table file.

    Args:
        path: The file.
        separator: Between the cells of CSV and TSV; None finds it.
        as_json: Columns of JSON files whose lists and mappings stay JSON, see
            :class:`xmtf.sources.files.json_tables.JsonBlocks`.

    Raises:
        SourceError: The file is missing, of an unknown kind, or broken; names the file and the line.
    """
    kind = _kind(path, separator)
    if kind.rows in _JSON:
        return _checked(JsonBlocks(path, kind.rows == ".json", as_json).whole(), path)
    if kind.rows == ".parquet":
        with _refusing(path):
            return _checked(parquet_table(path, packed=bool(kind.packing)), path)
    table = pa.concat_tables(_blocks(path, kind, separator))
    return with_integers(table) if kind.rows in (".csv", ".tsv") else table


def read_blocks(
    path: Path, *, separator: str | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of a table file as tables of some thousand rows, so that files may be of any size.

    Of Parquet files only ``columns`` are read where they are given.

    Each has the types of its own rows: a column of JSON that has whole numbers in one block may have decimals in the
    next, or be missing, and the cells of CSV are text.

    Raises:
        SourceError: As :func:`read_table_file`.
    """
    return _blocks(path, _kind(path, separator), separator, columns)


def _kind(path: Path, separator: str | None) -> FileKind:
    require_file(path)
    kind = require_kind(path)
    if separator is not None and kind.rows not in (".csv", ".tsv"):
        raise SourceError(f"{path}: has no separator; remove it, or give a CSV or TSV file")
    return kind


def _blocks(
    path: Path, kind: FileKind, separator: str | None, columns: Sequence[str] | None = None
) -> Iterator[pa.Table]:
    blocks: Iterator[pa.Table]
    if kind.rows in _JSON:
        blocks = iter(JsonBlocks(path, array=kind.rows == ".json"))
    elif kind.rows in _ARROW:
        blocks = arrow_blocks(path, kind.rows, packed=bool(kind.packing), columns=columns)
    else:
        blocks = iter(Delimited(path, quoted=kind.rows == ".csv", separator=separator))
    with _refusing(path):
        for block in blocks:
            yield _checked(block, path)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError:  # one of Arrow's errors, too
        raise
    except (pa.ArrowException, OSError, EOFError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def _checked(table: pa.Table, path: Path) -> pa.Table:
    twice = [column for column, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise SourceError(f"{path}: has more than one column {twice[0]!r}; rename them")
    return table


def fingerprint_files(paths: Sequence[Path]) -> str:
    """Return a hash of the bytes of the files, independent of where they lie."""
    return content_hash([hash_of(path) for path in paths])


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file; a process reads it once while it stays as it is."""
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=65536)
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)
