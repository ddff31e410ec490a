"""Table files as people keep them: Parquet, JSON lines (also gzipped), CSV and TSV.

Types are inferred cautiously: text stays text (no dates, no ``NA``), and only columns in which every
value is a plain integer become integers, because templates index answer choices with them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from xmtf.errors import SourceError
from xmtf.files import content_hash, file_sha256
from xmtf.sources.exact import check_long_numbers, exact_field

__all__ = ["SUFFIXES", "fingerprint_files", "read_table_file", "read_table_files"]

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv")
"""File names that are understood, in the order in which they are preferred."""

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_BLOCK_BYTES = 2**30
"""Most of a CSV file that is parsed at once; a single row must be smaller."""


def read_table_files(paths: Sequence[Path]) -> pa.Table:
    """Read the shards of one split, in order, as one table.

    Raises:
        SourceError: A file is unreadable, or the shards have different columns.
    """
    tables = [read_table_file(path) for path in paths]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as error:
        raise SourceError(f"{paths[0]} and its other shards do not have the same columns: {error}") from None


def read_table_file(path: Path) -> pa.Table:
    """Read one table file.

    Raises:
        SourceError: The file is missing, of an unknown kind, or broken; names the file and the line.
    """
    if not path.is_file():
        raise SourceError(f"{path}: no such file (looked in {path.parent.resolve()})")
    name = path.name.lower()
    try:
        if name.endswith(".parquet"):
            table = pa.parquet.read_table(path, partitioning=None).replace_schema_metadata(None)
        elif name.endswith((".jsonl", ".jsonl.gz", ".json")):
            table = _read_jsonl(path)
        elif name.endswith(".csv"):
            table = _read_delimited(path, ",", '"')
        elif name.endswith(".tsv"):
            table = _read_delimited(path, "\t", False)
        else:
            raise SourceError(f"{path}: not a kind of file that can be read; known: {', '.join(SUFFIXES)}")
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    twice = [column for column, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise SourceError(f"{path}: has more than one column {twice[0]!r}; rename them")
    return table


def _read_jsonl(path: Path) -> pa.Table:
    data = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        data = gzip.decompress(data)
    rows, lines = [], []
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise SourceError(f"{path}: line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise SourceError(f"{path}: line {number} is not a JSON object with the columns as keys")
        check_long_numbers(row, line, number, path)
        rows.append(row)
        lines.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns, fields = [], []
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns.append(pa.array(values))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise SourceError(f"{path}: column {name!r} mixes types, or holds too large a number: {error}") from None
        fields.append(exact_field(name, values, lines, columns[-1].type))
    return pa.table(columns, schema=pa.schema(fields))


def _read_delimited(path: Path, delimiter: str, quote: str | bool) -> pa.Table:
    """Read CSV (quoted as usual) or TSV (no quoting at all); the first line names the columns."""
    with path.open("rb") as stream:
        header = stream.readline().decode("utf-8-sig").rstrip("\r\n")
    names = next(csv.reader([header])) if quote else header.split(delimiter)
    table = pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(block_size=min(path.stat().st_size + 1, _BLOCK_BYTES)),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, quote_char=quote, newlines_in_values=bool(quote)),
        convert_options=pa.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
        ),
    )
    for index, column in enumerate(table.columns):
        values = column.to_pylist()
        if values and all(isinstance(value, str) and _INTEGER.fullmatch(value) for value in values):
            table = table.set_column(index, table.column_names[index], column.cast(pa.int64()))
    return table


def fingerprint_files(paths: Sequence[Path]) -> str:
    """Return a hash of the bytes of the files, independent of where they lie."""
    return content_hash([_hash_of(path, stat.st_size, stat.st_mtime_ns) for path in paths for stat in (path.stat(),)])


@lru_cache(maxsize=65536)
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:
    return file_sha256(path)
