"""Text for the terminal: how wide it is, how many cells a text takes, and tables that fit.

A table that is too wide for the terminal is folded between columns, heading and rows alike; in a pipe
or a file every row is one line.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Collection, Sequence

__all__ = ["aligned", "num_cells", "terminal_width", "visible"]

_GAP, _INDENT = "  ", "    "
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters of ASCII and Latin-1; joiners and marks of direction are text."""


def terminal_width() -> int:
    """Return how many cells a line of the terminal has, or ``COLUMNS`` where it is set; 0 where there is no end."""
    if "COLUMNS" in os.environ or sys.stdout.isatty():
        return shutil.get_terminal_size((0, 0)).columns
    return 0


def visible(text: str) -> str:
    r"""Return a text whose control characters are shown, not sent to the terminal; line ends and tabs stay.

    >>> print(visible("a\x1b[31m b\u200d"))
    a\x1b[31m b‍
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def num_cells(text: str) -> int:
    """Return how many cells of one terminal per text takes.

    >>> num_cells("né"), num_cells("中文"), num_cells("हिंदू")
    (2, 4, 3)
    """
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def aligned(rows: Sequence[Sequence[str]], *, numbers: Collection[int] = (), width: int | None = None) -> list[str]:
    """Return rows as lines of columns two spaces apart.

    Args:
        rows: The heading and what is under it, each with the same number of cells.
        numbers: Columns that are flush right.
        width: Cells of a line; default the terminal's. 0 never folds.

    >>> aligned([["task", "items"], ["xnli", "5"]], numbers=[1])
    ['task  items', 'xnli      5']
    >>> aligned([["task", "items"], ["xnli", "5"]], numbers=[1], width=10)
    ['task', '    items', 'xnli', '        5']
    """
    width = terminal_width() if width is None else width
    rows = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(num_cells, column)) for column in zip(*rows, strict=True)]
    groups = _folded(widths, width)
    lines = []
    for row in rows:
        for group in groups:
            cells = (_padded(row[column], widths[column], column in numbers) for column in group)
            line = (_INDENT if group[0] else "") + _GAP.join(cells)
            if line.strip() or not group[0]:
                lines.append(line.rstrip())
    return lines


def _folded(widths: Sequence[int], width: int) -> list[list[int]]:
    """Return the columns of each line; lines after the first are indented."""
    groups: list[list[int]] = []
    used = width + 1
    for column, wanted in enumerate(widths):
        if not groups or (width and used + len(_GAP) + wanted > width):
            groups.append([])
            used = wanted + (len(_INDENT) if column else 0)
        else:
            used += len(_GAP) + wanted
        groups[-1].append(column)
    return groups


def _padded(text: str, width: int, right: bool) -> str:
    space = " " * (width - num_cells(text))
    return space + text if right else text + space
