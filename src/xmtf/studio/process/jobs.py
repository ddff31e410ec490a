"""What the process behind the server does with templates: rows rendered as a build renders them, sources checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmtf.errors import TemplateError
from xmtf.json_types import JsonObject
from xmtf.tasks import Task
from xmtf.tasks.prompting.show import preview_table
from xmtf.templates import Template
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.lint import Finding as LintFinding
from xmtf.templates.lint import lint_file, lint_templates
from xmtf.templates.lint.file import check_names
from xmtf.templates.lint.lines import fault_line, line_of
from xmtf.templates.lint.source import check_source
from xmtf.templates.lint.translations import check_translations
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
        prepare(template.jinja, template.answer_choices, "fixed")
    except FAULTS as error:
        line = fault_line(template)
        what = (
            "does not compile" if line is not None or not _compiles(template) else "its answer choices do not compile"
        )
        return f"{what}: {_one_line(error)}", line
    return None


def _compiles(template: Template) -> bool:
    try:
        prepare(template.jinja, None, "fixed")
    except FAULTS:
        return False
    return True


def lint(
    templates: Sequence[Template], number: int, where: str, columns: Sequence[str], data: bytes | None
) -> JsonObject:
    """Return what lint finds in one template among those of its file.

    Args:
        templates: Those of the file, with the one that is checked as it is now.
        number: Which one is checked.
        where: Key of the file.
        columns: Columns of its rows, or empty where they are not known.
        data: A few rows, or None.
    """
    template = templates[number]
    tables = {where: _table(data)} if data is not None else None
    found = lint_templates([template], where, tables)
    found += [each for each in check_names(templates) if each.template == template.name]
    if columns and tables is None:
        found += [each for each in check_source(template, columns) if each.check == "undefined-name"]
    if template.translated is not None:
        found += [each for each in check_translations({where: templates}) if each.template == template.name]
    return {"findings": _findings(found, [template])}


def _findings(found: Iterable[LintFinding], templates: Sequence[Template]) -> list[JsonObject]:
    by_name = {template.name: template for template in templates}
    listed = []
    for each in found:
        template = by_name.get(each.template)
        listed.append(
            {
                "severity": "note" if each.severity == "info" else each.severity,
                "code": each.check,
                "message": each.message,
                "line": line_of(each, template) if template is not None else None,
                "template": each.template,
            }
        )
    return listed


def count_findings(files: Mapping[str, Path], key: str) -> JsonObject:
    """Return how many errors, warnings and notes lint finds in a file.

    Args:
        files: Key -> file, of this one and those of the same dataset, which may hold the originals of translations.
        key: Key of the file, which its header should repeat; ``""`` for a file by itself.
    """
    found = lint_file(files[key], key)
    if key:
        of_dataset = check_translations({name: read_promptsource(path).templates for name, path in files.items()})
        found += [each for each in of_dataset if each.where == key]
    counts = Counter("note" if each.severity == "info" else each.severity for each in found)
    return {"counts": {name: counts[name] for name in ("error", "warning", "note")}}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


JOBS: dict[str, Callable[..., JsonObject]] = {
    "render": render,
    "compile": compile_all,
    "lint": lint,
    "count": count_findings,
}
"""Name of a job -> what it does."""
