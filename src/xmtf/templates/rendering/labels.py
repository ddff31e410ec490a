"""A label column of which no value picks an answer choice: it is named, with the column that may have been meant."""

from __future__ import annotations

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import nearest
from xmtf.templates.rendering.columns import RenderedColumns
from xmtf.templates.sandbox.unfit import LABELS

__all__ = ["name_labels"]

_INDEX = re.compile(r"answer_choices\s*\[\s*([A-Za-z_]\w*(?:\.\w+)*)")
_NUMBER = re.compile(r"of (\d+) answer choices")


def name_labels(rendered: RenderedColumns, jinja: str, table: pa.Table) -> RenderedColumns:
    """Return the rendered columns; where no row's label picks a choice, the column is named in what is said of them.

    Args:
        rendered: The rendered table.
        jinja: Source of the template.
        table: The rows.
    """
    wrong = [each for each in rendered.unfit if each.reason in LABELS]
    names = set(_INDEX.findall(jinja))
    if not wrong or len(names) != 1 or sum(len(each.rows) for each in wrong) < table.num_rows:
        return rendered
    said = f" (column {(name := names.pop())!r}, on every row{_other(name, wrong[0].detail, table)})"
    return replace(
        rendered,
        unfit=tuple(
            replace(each, detail=each.detail + said) if each.reason in LABELS else each for each in rendered.unfit
        ),
    )


def _other(name: str, detail: str, table: pa.Table) -> str:
    """Name the column whose values do pick choices and whose name is nearest, if there is one."""
    number = _NUMBER.search(detail)
    fitting = [
        column
        for column in table.column_names
        if column != name and _picks(table.column(column), int(number[1]) if number else 2)
    ]
    near = [*nearest(name, fitting), *fitting]
    return f"; the values of {near[0]!r} do" if near else ""


def _picks(column: pa.ChunkedArray, number: int) -> bool:
    if not pa.types.is_integer(column.type) or column.null_count or not len(column):
        return False
    bounds = pc.min_max(column).as_py()
    return bool(0 <= bounds["min"] < bounds["max"] < number)
