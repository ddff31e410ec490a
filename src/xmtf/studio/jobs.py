"""What the process behind the server does with templates: rows rendered as a build renders them, sources checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from xmtf.errors import TemplateError
from xmtf.json_types import JsonObject
from xmtf.tasks import Task
from xmtf.tasks.prompting.show import preview_table
from xmtf.templates import Template
from xmtf.templates.preview import Preview
from xmtf.templates.rendering.compile import FAULTS
from xmtf.templates.rendering.render import prepare

__all__ = ["JOBS", "to_bytes"]

_SHOWN = 50_000
"""Characters of a rendered text that are shown."""
_MOST = 4_000_000
"""Characters of all texts of one answer."""


def to_bytes(table: pa.Table) -> bytes:
    """Return rows as they are handed to the process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def render(task: Task, split: str, templates: Sequence[Template], data: bytes, rows: Sequence[int]) -> JsonObject:
    """Return each row under each template: by template, then by row.

    Args:
        task: What the rows belong to.
        split: Their split.
        templates: To render under.
        data: The rows, as :func:`to_bytes` gives them.
        rows: Number of each in the split.
    """
    table = _table(data)
    found: list[JsonObject] = []
    size = 0
    for number, template in enumerate(templates):
        for place, row in enumerate(rows):
            (shown,) = preview_table(task, [template], split, table.slice(place, 1), np.array([row], np.int64))
            found.append({"template": number, "place": place} | _shown(shown))
            size += len(shown.inputs or "") + sum(map(len, (*shown.targets, *(shown.choices or ()))))
            if size > _MOST:
                raise TemplateError(f"template {template.name!r} renders too much: more than {_MOST:,} characters")
    return {"renderings": found}


def _shown(preview: Preview) -> JsonObject:
    texts = (preview.inputs or "", *preview.targets, *(preview.choices or ()))
    return {
        "inputs": None if preview.inputs is None else preview.inputs[:_SHOWN],
        "targets": [target[:_SHOWN] for target in preview.targets],
        "choices": None if preview.choices is None else [choice[:_SHOWN] for choice in preview.choices],
        "dropped": preview.problem,
        "remedy": preview.remedy,
        "cut": any(len(text) > _SHOWN for text in texts),
    }


def compile_all(templates: Sequence[Template]) -> JsonObject:
    """Compile templates, and say of the first that does not compile why, and in which line."""
    for template in templates:
        fault = fault_of(template)
        if fault is not None:
            return {"error": fault[0], "line": fault[1]}
    return {}


def fault_of(template: Template) -> tuple[str, int | None] | None:
    """Return why a template does not compile, and in which line of its source, or None."""
    try:
        prepare(template.jinja, None, "fixed")
    except FAULTS as error:
        line = getattr(error, "lineno", None)
        return f"does not compile: {_one_line(error)}", line if isinstance(line, int) else None
    try:
        prepare(template.jinja, template.answer_choices, "fixed")
    except FAULTS as error:
        return f"its answer choices do not compile: {_one_line(error)}", None
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


JOBS: dict[str, Callable[..., JsonObject]] = {"render": render, "compile": compile_all}
"""Name of a job -> what it does."""
