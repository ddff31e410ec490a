"""One row of a task under each of its templates: for people who want to see what they train on."""

from __future__ import annotations

from typing import Any

from xmtf.errors import ConfigError, TemplateError
from xmtf.records import Origin
from xmtf.sources import read_source
from xmtf.tasks.selection import matches
from xmtf.tasks.task import Task

__all__ = ["render_row"]


def render_row(
    task: Task, *, split: str | None = None, row: int = 0, templates: str = "*", offline: bool = False
) -> list[dict[str, Any]]:
    """Render one row of a task under each of its templates.

    Args:
        task: The task.
        split: Split to read; default the first that the catalogue lists.
        row: Which of the rows that the adapter leaves, from 0.
        templates: Pattern of template names.
        offline: Never touch the network.

    Returns:
        One mapping a template: template, prompt_language, split, row (index in the split), inputs,
        targets, choices, problem. ``inputs`` is None and ``problem`` says why where there is no example.

    Raises:
        SourceError: The split cannot be read.
        ConfigError: The split has no such row.
    """
    split = split or next(iter(next(iter(task.splits.values()))))
    data = read_source(task.source(split), offline=offline)
    if row >= data.table.num_rows:
        raise ConfigError(f"{task.id} [{split}] has {data.table.num_rows} rows; there is no row {row}")
    fields = data.table.slice(row, 1).to_pylist()[0]
    origin = Origin(task.dataset, task.subset, split, int(data.rows[row]))
    shown = []
    for template in task.templates():
        if not matches(template.name, [templates]):
            continue
        example: dict[str, Any] = {
            "template": template.name,
            "prompt_language": template.language,
            "split": split,
            "row": origin.row,
            "inputs": None,
            "targets": None,
            "choices": None,
            "problem": "does not apply to this row",
        }
        try:
            rendered = template.render(fields, origin=origin, strip=not task.is_program)
        except TemplateError as error:
            example["problem"] = str(error)
            rendered = None
        if rendered is not None:
            example |= {"inputs": rendered.inputs, "targets": " ||| ".join(rendered.targets), "problem": ""}
            example["choices"] = list(rendered.answer_choices) if rendered.answer_choices else None
        shown.append(example)
    return shown
