"""Rows of text as lines of aligned columns, for terminals."""

from __future__ import annotations

from collections.abc import Container, Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], *, numbers: Container[int] = ()) -> list[str]:
    """Return rows as lines of columns two spaces apart, those at the positions ``numbers`` flush right.

    >>> aligned([("model", "items"), ("BLOOMZ", "9")], numbers=[1])
    ['model   items', 'BLOOMZ      9']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
