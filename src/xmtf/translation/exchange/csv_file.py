"""Translations as CSV for a spreadsheet: one row per text, all languages in one file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.languages.codes import normalize_language
from xmtf.templates.languages.translated import STATES
from xmtf.text.files import NotUtf8Error, read_text_file
from xmtf.translation.exchange.rows import ReadRow, Row

__all__ = ["read_csv", "write_csv"]

_COLUMNS = ("template", "language", "part", "source", "translation", "context", "status", "comment")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def write_csv(rows: Iterable[Row]) -> bytes:
    """Return the rows as CSV with a byte order mark, by which spreadsheets know UTF-8.

    A cell that a spreadsheet would take for a formula begins with a quote, which :func:`read_csv` takes off.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = (
            row.original,
            row.language,
            row.part,
            row.source,
            row.target,
            row.context,
            row.state or "",
            row.comment,
        )
        writer.writerow([f"'{value}" if _FORMULA.match(value) else value for value in values])
    return b"\xef\xbb\xbf" + stream.getvalue().encode()


def read_csv(path: Path) -> list[ReadRow]:
    """Return the rows of a file.

    Raises:
        ConfigError: It is not of this form; names the line.
    """
    try:
        text = read_text_file(path)
    except NotUtf8Error as error:
        raise ConfigError(str(error)) from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)  # what a spreadsheet saves depends on its language
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    found: list[ReadRow] = []
    try:
        header = next(reader, [])
        missing = [name for name in _COLUMNS if name not in header and name != "context"]
        if missing:
            raise ConfigError(f"{path}: line 1: no column {', '.join(missing)}; keep the columns of the export")
        line = 2
        for cells in reader:
            if any(cells):
                found.append(_row(dict(zip(header, cells, strict=False)), path, line))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"{path}: line {reader.line_num}: {error}") from None
    return found


def _row(cells: dict[str, str], path: Path, line: int) -> ReadRow:
    values = {name: _unquoted(cells.get(name, "")) for name in _COLUMNS}
    status = values["status"].strip().lower().replace(" ", "_")
    if status and status not in STATES:
        raise ConfigError(f"{path}: line {line}: status is {status!r}; it is one of {', '.join(STATES)}")
    return ReadRow(
        values["template"],
        normalize_language(values["language"], f"{path}: line {line}"),
        values["part"],
        values["source"],
        values["translation"],
        status or None,
        values["comment"],
        line,
    )


def _unquoted(cell: str) -> str:
    """Take off exactly the quote that a cell got because it would have been a formula."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
