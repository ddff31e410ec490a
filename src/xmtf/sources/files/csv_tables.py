"""CSV and TSV as Arrow tables of text, block by block; the first line names the columns.

Spreadsheets write semicolons where commas part decimals, a line ``sep=;``, a byte order mark, spaces around names:
the separator is found, or given, and names are read without the spaces.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv

from xmtf.errors import SourceError
from xmtf.sources.files.unpack import Unpacked, open_unpacked, text_problem
from xmtf.text.files import foreign_encoding, without_mark

__all__ = ["Delimited", "all_whole", "with_integers"]

_BLOCK_BYTES, _MOST_BYTES = 2**24, 2**30
"""Read at a time: at first, and at most; a single row must be smaller."""

_START_BYTES = 2**16
_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_INTEGER = "^(?:0|-?[1-9][0-9]{0,17})$"
_STRADDLES = "straddl"


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file is cut.

    Attributes:
        names: Columns as the header writes them.
        separator: Between cells.
        skipped: Lines before the header.
    """

    names: tuple[str, ...]
    separator: str
    skipped: int


@dataclass(frozen=True, slots=True)
class Delimited:
    """The rows of a file, block by block.

    Attributes:
        path: The file.
        quoted: Whether cells may be in quotes (CSV) or never do (TSV).
        separator: Between cells; None finds it.
    """

    path: Path
    quoted: bool
    separator: str | None = None

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield tables whose columns are text.

        Raises:
            SourceError: The file cannot be read, is no UTF-8, has rows of another length than its header, or a cell in
                quotes that does not end.
        """
        layout = self._layout()
        done, size, last = 0, _BLOCK_BYTES, ""
        while True:
            try:
                for table in self._tables(layout, size, done):
                    done += table.num_rows
                    last = table.column(table.num_columns - 1)[-1].as_py() if table.num_rows else last
                    yield table
            except pa.ArrowInvalid as error:
                if _STRADDLES in str(error) and size < _MOST_BYTES:
                    size *= 8  # a row is larger than that; those before it are passed over
                    continue
                raise SourceError(self._explain(str(error), layout)) from None
            if self.quoted and ("\n" in last or "\r" in last):
                self._check_closed(last)
            return

    def _tables(self, layout: _Layout, block_bytes: int, done: int) -> Iterator[pa.Table]:
        names = [name.strip().strip('"').strip() if self.quoted else name.strip() for name in layout.names]
        with open_unpacked(self.path) as stream, _reader(stream, layout, self.quoted, block_bytes) as reader:
            row = 0
            for batch in reader:
                fresh = batch.slice(max(0, done - row))
                row += batch.num_rows
                if fresh.num_rows:
                    yield pa.Table.from_batches([fresh]).rename_columns(names)
            if row == 0:
                yield pa.table({name: pa.array([], pa.string()) for name in names}) if done == 0 else pa.table({})

    def _check_closed(self, cell: str) -> None:
        """Refuse a file whose last cell, of several lines, has no end: it has taken in all rows behind its mark."""
        texts = (cell, cell.rstrip(" \t"))  # blanks behind the last mark are read as part of the cell
        written = tuple(f'"{each}"'.encode() for each in (text.replace('"', '""') for text in texts))
        end = b"\n" if "\n" in cell else b"\r"
        lines, tail = 1, b""
        with open_unpacked(self.path) as stream:
            while block := stream.read(_BLOCK_BYTES):
                lines += block.count(end)
                tail = (tail + block)[-len(written[0]) - _START_BYTES :]
        text = tail.rstrip(b" \t\r\n")
        lines -= tail[len(text) :].count(end)
        if not text.endswith(written):
            line = lines - cell.rstrip().count(end.decode())
            raise SourceError(
                f"{self.path}: line {line}: a quotation mark opens a cell that nothing closes, so that it holds the "
                "lines behind it; close it, or double a mark that is part of the text"
            )

    def _layout(self) -> _Layout:
        with open_unpacked(self.path) as stream:
            start = stream.read(_START_BYTES)
        problem = foreign_encoding(start[:4])
        if problem is not None:
            raise SourceError(f"{self.path}: {problem}")
        text = without_mark(start).decode("utf-8", "replace")
        first, _, rest = text.replace("\r\n", "\n").replace("\r", "\n").partition("\n")
        said = _SEPARATOR_LINE.fullmatch(first)
        if said is not None:
            first, rest = rest.partition("\n")[0], rest.partition("\n")[2]
        if "\ufffd" in first and (problem := text_problem(self.path)):
            raise SourceError(f"{self.path}: {problem}")
        if not first.strip():
            raise SourceError(f"{self.path}: cannot be read: its first line, which names the columns, is empty")
        separator = self.separator or (said.group(1) if said else None) or self._found(first, rest)
        return _Layout(tuple(_cells(f"{first}\n{rest}", separator, self.quoted)), separator, 1 if said else 0)

    def _found(self, header: str, rest: str) -> str:
        """Return the separator that a header uses: the usual one, else one that cuts all rows alike."""
        if not self.quoted:
            return "\t"
        even = [other for other in _SEPARATORS if _even(header, rest, other)]
        if len(_cells(f"{header}\n{rest}", ",", True)) > 1:
            return "," if "," in even or not even else even[0]
        counts = {other: len(_cells(f"{header}\n{rest}", other, True)) for other in _SEPARATORS}
        best = max(_SEPARATORS, key=lambda other: counts[other])
        return best if best in even else ","

    def _explain(self, message: str, layout: _Layout) -> str:
        problem = text_problem(self.path) if "UTF8" in message else None
        if problem is not None:
            return f"{self.path}: {problem}"
        said = " ".join(message.split())
        if "Expected" in said:
            said += f"; cells are separated by {layout.separator!r}"
        return f"{self.path}: cannot be read: {said}"


def _cells(text: str, separator: str, quoted: bool) -> list[str]:
    if not quoted:
        return text.partition("\n")[0].split(separator)
    return next(csv.reader(io.StringIO(text), delimiter=separator))


def _even(header: str, rest: str, separator: str) -> bool:
    """Return whether a separator cuts the header and the first rows into equally many cells, two or more."""
    rows = [row for row in csv.reader(io.StringIO(f"{header}\n{rest}"), delimiter=separator) if row]
    rows = rows[:-1] if len(rows) > 2 else rows  # the last one may be cut
    return len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows[:20])


def _reader(stream: Unpacked, layout: _Layout, quoted: bool, block_bytes: int) -> pcsv.CSVStreamingReader:
    return pcsv.open_csv(
        stream,
        read_options=pcsv.ReadOptions(block_size=block_bytes, use_threads=False, skip_rows=layout.skipped),
        parse_options=pcsv.ParseOptions(
            delimiter=layout.separator, quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pcsv.ConvertOptions(
            column_types=dict.fromkeys(layout.names, pa.string()),
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )


def with_integers(table: pa.Table) -> pa.Table:
    """Return the table with columns of plain whole numbers as such: templates index answer choices with them."""
    for index, column in enumerate(table.columns):
        if len(column) and all_whole(column):
            table = table.set_column(index, table.column_names[index], column.cast(pa.int64()))
    return table


def all_whole(column: pa.ChunkedArray) -> bool:
    """Return whether all cells of a column of text are plain whole numbers."""
    return pa.types.is_string(column.type) and all(
        pc.all(pc.match_substring_regex(part, _INTEGER)).as_py()
        for part in (column.slice(0, 1), column)  # most columns end with their first cell
    )
