"""Translations out to people and back: CSV for a spreadsheet, PO for gettext's tools, XLIFF for translators' tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from xmtf.translation.exchange.csv_file import read_csv, write_csv
from xmtf.translation.exchange.po_file import read_po_file, write_po_file
from xmtf.translation.exchange.rows import ReadRow, Row
from xmtf.translation.exchange.xliff_file import read_xliff, write_xliff

__all__ = ["Format", "ReadRow", "Row", "format_of", "read_rows", "write_rows"]

Format = Literal["xliff", "po", "csv"]
_ENDINGS: dict[str, Format] = {".csv": "csv", ".po": "po", ".xliff": "xliff", ".xlf": "xliff"}


def format_of(path: Path) -> Format | None:
    """Return the format that a file's name ends in, or None."""
    return _ENDINGS.get(path.suffix.lower())


def write_rows(rows: Sequence[Row], form: Format, source: str, name: str) -> bytes:
    """Return rows in a format; those of PO and XLIFF are of one language.

    Args:
        rows: The rows.
        form: The format.
        source: Language of the originals.
        name: Of the template file.
    """
    if form == "csv":
        return write_csv(rows)
    language = rows[0].language
    return write_po_file(rows, language, source) if form == "po" else write_xliff(rows, language, source, name)


def read_rows(path: Path, form: Format) -> list[ReadRow]:
    """Return the rows of a file.

    Raises:
        ConfigError: The file is not of the form of an export; names the line.
    """
    return {"csv": read_csv, "po": read_po_file, "xliff": read_xliff}[form](path)
