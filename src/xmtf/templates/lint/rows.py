"""Checks of a template on real rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import TemplateError
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.lint.source import ENDS
from xmtf.templates.rendering.columns import RenderedColumns
from xmtf.templates.rendering.counted_labels import say_counted_from_one
from xmtf.templates.rendering.fields import absent_fields
from xmtf.templates.sandbox.unfit import (
    ADDRESS,
    LABEL_NEGATIVE,
    LABEL_RANGE,
    LABEL_TYPE,
    NULL_CHOICE,
    NULL_INPUTS,
    NULL_LABEL,
    NULL_TARGET,
)
from xmtf.templates.template import Template

__all__ = ["check_rendered", "check_rows"]

_UNFIT_CHECKS = {
    NULL_INPUTS: "prints-none",
    NULL_TARGET: "prints-none",
    NULL_CHOICE: "prints-none",
    NULL_LABEL: "wrong-label",
    LABEL_TYPE: "wrong-label",
    LABEL_NEGATIVE: "hidden-label",
    LABEL_RANGE: "choice-out-of-range",
    ADDRESS: "not-text",
}
_FEW = 10
"""Fewer rows than this say nothing about constant targets."""


def check_rows(template: Template, table: pa.Table, *, dataset: str, split: str) -> list[Finding]:
    """Return what is wrong with a template on these rows; it must compile.

    Args:
        template: The template.
        table: Raw rows of its dataset.
        dataset: Named in messages, with the split.
        split: Such as ``validation``.
    """
    if table.num_rows == 0:
        return []
    try:
        rendered = template.render_table(table, dataset=dataset, subset="", split=split)
    except TemplateError as error:
        return [finding("not-text", template.name, f"{error}; rows of {dataset} [{split}]")]
    found = [*_check_rendering(rendered), *_check_unfit(rendered)]
    counted = say_counted_from_one(template.prepared(), rendered, table)
    found += [("labels-from-one", f"{counted}; rows")] if counted is not None else []
    absent = absent_fields(template.prepared(), table.schema)
    found += [("undefined-name", f"{each}; rows") for each in absent if "." in each.path]  # columns are checked by name
    return [finding(check, template.name, f"{message} of {dataset} [{split}]") for check, message in found]


def check_rendered(template: Template, rendered: RenderedColumns, where: str, *, most: int) -> list[Finding]:
    """Return what is wrong with the texts of the first rows of a table that was rendered.

    Rows that fail or are unfit are not among it: whoever rendered the table counts them.

    Args:
        template: The template.
        rendered: The rendered table.
        where: What it is of.
        most: Rows that are looked at.
    """
    places = [each.row for each in rendered.failures]
    first = RenderedColumns(
        rendered.inputs.slice(0, most),
        rendered.targets.slice(0, most),
        rendered.choices.slice(0, most),
        rendered.failures,
        rendered.unfit,
    )
    if not len(first.inputs) or (places and first.inputs.null_count == len(first.inputs)):
        return []
    found = [finding(check, template.name, f"{message} of {where}") for check, message in _check_rendering(first)]
    return [each for each in found if each.check != "fails-on-rows"]


def _check_rendering(rendered: RenderedColumns) -> Iterator[tuple[str, str]]:
    total = len(rendered.inputs)
    failures = rendered.failures
    if failures:
        yield (
            "fails-on-rows",
            f"{len(failures)} of {total} rows, first row {failures[0].row}: {failures[0].message}; rows",
        )
    inputs = rendered.inputs.drop_null()
    if len(inputs) == 0:
        if not failures and not rendered.unfit:
            yield "never-applies", f"none of {total} rows"
        return
    targets = rendered.targets.drop_null().flatten()
    for check, texts in (("empty-input", inputs), ("empty-target", targets)):
        empty = pc.sum(pc.equal(texts, "")).as_py() or 0
        if empty:
            yield check, f"{empty} of {total} rows"
    open_ends = [text for text in inputs.to_pylist() if text and text[-1] not in ENDS]
    if len(open_ends) > 0.2 * len(inputs):
        yield "no-clear-end", f"the inputs end as in {open_ends[0][-30:]!r} on {len(open_ends)} of {total} rows"
    if len(inputs) >= _FEW and pc.count_distinct(targets).as_py() == 1 and targets[0].as_py() != "":
        yield "constant-target", f"{targets[0].as_py()[:60]!r} on all of {len(inputs)} rows"
    if rendered.choices.null_count == total and len(targets) == len(inputs) >= _FEW:
        pairs = zip(inputs.to_pylist(), targets.to_pylist(), strict=True)
        held = sum(len(target) > 3 and target in text for text, target in pairs)
        if held >= 0.95 * len(inputs):
            yield "target-in-inputs", f"{held} of {len(inputs)} rows"


def _check_unfit(rendered: RenderedColumns) -> Iterator[tuple[str, str]]:
    """Yield why rows would be dropped."""
    total = len(rendered.inputs)
    for unfit in rendered.unfit:
        first = f"first row {unfit.rows[0]}: {unfit.detail}"
        yield _UNFIT_CHECKS[unfit.reason], f"{unfit.reason} on {len(unfit.rows)} of {total} rows, {first}; rows"
    for note in rendered.notes:
        yield "not-plain", f"{note}; rows"
