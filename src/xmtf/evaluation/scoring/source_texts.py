"""What an answer is an answer to: the text to be translated or summed up, without the prompt around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from xmtf.errors import SourceError
from xmtf.execution import warn
from xmtf.records import Provenance
from xmtf.sources import read_source
from xmtf.tasks import load_catalogue

__all__ = ["source_texts"]

_COLUMNS = ("source", "text", "question")
"""Columns of rows that hold it, the first that is there."""


def source_texts(asked: Provenance, rows: Sequence[int], prompts: Sequence[str]) -> tuple[list[str], str]:
    """Return the source of each item, and where it is from: a column of the rows, or ``prompt``.

    Args:
        asked: Task and split.
        rows: Numbers of the rows.
        prompts: What stands in for sources where the rows are not available; that is said.
    """
    name, texts = _column(asked.task, asked.split)
    if name and all(row in texts for row in rows):
        return [texts[row] for row in rows], name
    return list(prompts), "prompt"


@lru_cache(maxsize=8)
def _column(task_id: str, split: str) -> tuple[str, Mapping[int, str]]:
    task = load_catalogue().tasks.get(task_id)
    if task is None:
        warn(f"  {task_id}: not in the catalogue, so scorers get the whole prompt as its source")
        return "", {}
    try:
        data = read_source(task.source(split))
    except SourceError as error:
        warn(f"  {task_id}: scorers get the whole prompt as its source ({error})")
        return "", {}
    name = next((each for each in _COLUMNS if each in data.table.column_names), "")
    if not name:
        warn(f"  {task_id}: its rows have no source text, so scorers get the whole prompt")
        return "", {}
    texts = data.table.column(name).to_pylist()
    return name, {row: str(text) for row, text in zip(data.rows.tolist(), texts, strict=True) if text is not None}
