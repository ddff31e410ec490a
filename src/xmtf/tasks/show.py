"""One row of a task under its templates: for people who want to see what they train on."""

from __future__ import annotations

from collections.abc import Iterable

from xmtf.errors import SourceError
from xmtf.records import Origin
from xmtf.sources import read_source
from xmtf.tasks.task import Task
from xmtf.templates import Mode, Template
from xmtf.templates.preview import Preview, render_preview

__all__ = ["preview_row"]


def preview_row(
    task: Task,
    templates: Iterable[Template],
    *,
    split: str | None = None,
    row: int = 0,
    mode: Mode = "fixed",
    offline: bool = False,
) -> list[Preview]:
    """Render one row of a task under templates, as a mixture or an evaluation would.

    Args:
        task: The task.
        templates: Its own or others.
        split: Split to read; default the first that the catalogue lists.
        row: Which of the rows that the adapter leaves, from 0.
        mode: Template semantics.
        offline: Never touch the network.

    Raises:
        SourceError: The split cannot be read, or has no such row.
    """
    split = split or next(name for splits in task.splits.values() for name in splits)
    data = read_source(task.source(split), offline=offline)
    if row >= data.table.num_rows:
        raise SourceError(f"{task.id} [{split}] has {data.table.num_rows} rows; --row {row} is none of them")
    values = data.table.slice(row, 1).to_pylist()[0]
    origin = Origin(task.dataset, task.subset, split, int(data.rows[row]))
    return [render_preview(each, values, origin, mode=mode, strip=not task.is_program) for each in templates]
