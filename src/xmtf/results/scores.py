"""``scores.jsonl``: one :class:`xmtf.records.Score` a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xmtf.files import write_jsonl
from xmtf.records import Score
from xmtf.results.record_file import read_records
from xmtf.text.lines import to_line

__all__ = ["read_scores", "write_scores"]


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write scores, atomically."""
    write_jsonl(path, map(to_line, scores))


def read_scores(path: Path) -> list[Score]:
    """Read scores.

    Raises:
        DataError: There is no such file, or a line is no score; names the line and the field.
    """
    return read_records(Score, path, "score of an evaluation")
