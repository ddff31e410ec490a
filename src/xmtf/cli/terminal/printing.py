"""How results are printed: JSON for programs, tables for people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import typer

from xmtf.text.table import aligned, visible

__all__ = ["LISTENERS", "cell_text", "print_columns", "print_files", "print_json", "print_records", "print_text"]


LISTENERS: list[Callable[[object], None]] = []
"""Called with each value that is printed as JSON; the tests compare its fields with ``docs/json.md``."""


def print_json(value: object, *, indented: bool = False) -> None:
    """Print a value as JSON: one line, or indented where a whole answer is one value."""
    for listener in LISTENERS:
        listener(value)
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2 if indented else None).decode())


def print_text(text: object = "", *, end: bool = True, err: bool = False) -> None:
    """Print a text for a person: control characters are shown, never sent to the terminal.

    Args:
        text: What to print.
        end: Whether the line ends behind it.
        err: On stderr.
    """
    typer.echo(visible(str(text)), nl=end, err=err)


def print_files(paths: Iterable[Path], *, as_json: bool) -> None:
    """Print the files that a verb has written: a line each, or one object with ``files``."""
    if as_json:
        print_json({"files": [str(path) for path in paths]})
        return
    for path in paths:
        print_text(path)


def print_columns(rows: Sequence[Sequence[str]], *, numbers: Collection[int] = ()) -> None:
    """Print rows, the first of which is the heading, as :func:`xmtf.text.table.aligned` lays them out."""
    for line in aligned(rows, numbers=numbers):
        print_text(line)


def print_records(records: Sequence[dict[str, Any]]) -> None:
    """Print records with the same keys as a table: text to the left, numbers to the right."""
    if not records:
        return
    header = list(records[0])
    numbers = [
        place for place, name in enumerate(header) if all(isinstance(record[name], int | float) for record in records)
    ]
    print_columns(
        [header, *([cell_text(name, record[name]) for name in header] for record in records)], numbers=numbers
    )


def cell_text(name: str, value: object) -> str:
    """Return a value as a table shows it: shares as percent, numbers with commas."""
    if name in ("share", "kept"):
        return f"{value:.2%}"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}"
    return f"{value:,.0f}" if isinstance(value, int | float) else str(value)
