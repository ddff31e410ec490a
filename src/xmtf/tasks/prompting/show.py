"""One row of a task under its templates: for people who want to see what they train on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError, TemplateError
from xmtf.records import Origin
from xmtf.sources import read_source
from xmtf.tasks.prompting.fitness import Fitness, remedy
from xmtf.tasks.prompting.prompted import render_rows
from xmtf.tasks.task import Slice, Task
from xmtf.templates import Mode, Template
from xmtf.templates.preview import Preview
from xmtf.templates.rendering.fields import absent_fields

__all__ = ["preview_row", "preview_table"]


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
        raise SourceError(f"{task.id} [{split}] has {data.table.num_rows} rows; --row {row} is out of range")
    return preview_table(task, templates, split, data.table.slice(row, 1), data.rows[row : row + 1], mode=mode)


def preview_table(
    task: Task, templates: Iterable[Template], split: str, table: pa.Table, rows: np.ndarray, *, mode: Mode = "fixed"
) -> list[Preview]:
    """Render a row that was read already; see :func:`preview_row`.

    Args:
        task: The task.
        templates: Its own or others.
        split: The split of the row.
        table: The row alone.
        rows: Its number in the split, ``[1]``.
        mode: Template semantics.
    """
    task = replace(task, labels="drop", choices=None if task.choices == "error" else task.choices)
    return [_preview(Slice(task, split, (each,)), each, table, rows, mode) for each in templates]


def _preview(slice_: Slice, template: Template, table: pa.Table, rows: np.ndarray, mode: Mode) -> Preview:
    task = slice_.task
    origin = Origin(task.dataset, task.subset, slice_.split, int(rows[0]))
    try:
        rendered, fitness = render_rows(slice_, template, table, rows, mode=mode, failing_rows=1.0)
    except TemplateError as error:
        return Preview(template.name, template.language, origin, None, (), None, str(error))
    absent = absent_fields(template.prepared("fixed"), table.schema) if mode == "fixed" else []
    said = [str(absent[0])] if absent else [_explain(reason, fitness) for reason in fitness.dropped]
    inputs, targets, choices = (each[0].as_py() for each in (rendered.inputs, rendered.targets, rendered.choices))
    return Preview(
        template.name,
        template.language,
        origin,
        inputs,
        tuple(targets or ()),
        None if choices is None else tuple(choices),
        "; ".join(said) or None,
        next(filter(None, map(remedy, fitness.dropped)), None) if said and not absent else None,
    )


def _explain(reason: str, fitness: Fitness) -> str:
    detail = fitness.firsts[reason].detail
    return f"{reason}: {detail}" if detail else reason
