"""How scores, losses and comparisons are printed: as a table for people, as JSON lines for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.text.lines import to_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from xmtf.records import Score

    Row = TypeVar("Row", bound=DataclassInstance)

__all__ = ["print_rows", "print_scores"]


def print_scores(scores: list[Score], as_json: bool) -> None:
    """Print scores as a table, or as JSON lines."""
    from xmtf.evaluation.scoring.summary import score_lines

    if scores:  # else another process of torchrun prints them
        print_rows(scores, score_lines, as_json)


def print_rows(rows: list[Row], lines: Callable[[list[Row]], list[str]], as_json: bool) -> None:
    """Print records as lines of a table, or each as a JSON line."""
    if as_json:
        for row in rows:
            print_json(to_line(row))
        return
    for line in lines(rows):
        print_text(line)
