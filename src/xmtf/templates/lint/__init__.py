"""Lint: find what makes a template lose rows, give wrong targets or read badly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.errors import TemplateError
from xmtf.templates.files.collection import Collection
from xmtf.templates.files.promptsource import read_promptsource
from xmtf.templates.lint.file import check_file, check_names
from xmtf.templates.lint.finding import CHECKS, Finding, Severity, finding
from xmtf.templates.lint.rows import check_rendered, check_rows
from xmtf.templates.lint.source import check_source
from xmtf.templates.lint.translations import check_translations
from xmtf.templates.rendering.columns import RenderedColumns
from xmtf.templates.template import Template

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CHECKS", "Finding", "Severity", "lint_collection", "lint_file", "lint_rendered", "lint_templates"]

RENDERED_ROWS = 200
"""Rows of a task that a build lints under each template."""

_ORDER = {"error": 0, "warning": 1, "info": 2}


def lint_templates(
    templates: Sequence[Template], where: str, tables: Mapping[str, pa.Table] | None = None
) -> list[Finding]:
    """Check the templates of one dataset.

    Args:
        templates: As they are in one file.
        where: Named in findings: key, task id or dataset.
        tables: Split -> rows; given, names are checked against the columns, and the rows are rendered.
    """
    columns = {name for table in tables.values() for name in table.column_names} if tables else None
    found = list(check_names(templates))
    for template in templates:
        of_source = check_source(template, columns)
        found += [each for each in of_source if not tables or each.check != "no-clear-end"]  # the rows know better
        if any(each.check == "does-not-compile" for each in of_source):
            continue
        for split, table in (tables or {}).items():
            found += check_rows(template, table, dataset=where, split=split)
    return _sorted(replace(each, where=each.where or where) for each in found)


def lint_rendered(template: Template, rendered: RenderedColumns, columns: Sequence[str], where: str) -> list[Finding]:
    """Return errors and warnings of a template whose rows are rendered already, on at most :data:`RENDERED_ROWS`.

    Args:
        template: The template.
        rendered: Its rendered rows.
        columns: Columns of the rows.
        where: Task and split.
    """
    of_source = [each for each in _of_source(template, tuple(columns)) if each.check != "no-clear-end"]
    found = [*of_source, *check_rendered(template, rendered, where, most=RENDERED_ROWS)]
    return [each for each in found if each.severity != "info"]


@lru_cache(maxsize=4096)
def _of_source(template: Template, columns: tuple[str, ...]) -> tuple[Finding, ...]:
    return tuple(check_source(template, columns, in_legacy=False))


def lint_file(path: Path, key: str = "") -> list[Finding]:
    """Check one file of templates.

    Args:
        path: The file.
        key: Its key in a collection, which its header should repeat; ``""``: the header is not checked.

    Raises:
        TemplateError: The file cannot be read, or is one by itself and holds no template.
    """
    file = read_promptsource(path)
    if not key and not file.templates:
        raise TemplateError(
            f"{path}: holds no template; expected is `templates:`, with a list of entries that have a name and a jinja "
            f"source"
        )
    frame = check_file(file, path, key) if key else ()
    where = key or str(path)
    found = [replace(each, where=where) for each in frame]
    found += [
        finding("assumed-language", name, "it is not declared and the text is too short", where)
        for name in file.assumed
    ]
    if not key:  # a file by itself is a dataset
        found += check_translations({where: file.templates})
    return _sorted([*found, *lint_templates(file.templates, where)])


def lint_collection(collection: Collection, keys: Iterable[str]) -> list[Finding]:
    """Check files of a collection, and translations against their originals within each dataset.

    Raises:
        TemplateError: A file cannot be read.
        UnknownNameError: There is no such key.
    """
    found: list[Finding] = []
    datasets: dict[str, dict[str, Sequence[Template]]] = defaultdict(dict)
    for key in keys:
        templates = collection.load(key)
        path = collection.path(key)
        if path is not None:
            found += lint_file(path, key)
        datasets[key.rpartition("/")[0] or key][key] = templates
    for files in datasets.values():
        found += check_translations(files)
    return _sorted(found)


def _sorted(found: Iterable[Finding]) -> list[Finding]:
    return sorted(found, key=lambda each: (each.where, each.template, _ORDER[each.severity], each.check))
