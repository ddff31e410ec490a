"""Checks of a template on real rows."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import nodes

from xmtf.templates.columns import RenderedColumns
from xmtf.templates.lint.finding import Finding, finding
from xmtf.templates.lint.source import ENDS
from xmtf.templates.render import ANSWER_CHOICES
from xmtf.templates.template import Template

__all__ = ["check_rows"]

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
    rendered = template.render_table(table, dataset=dataset, subset="", split=split)
    found = [*_check_rendering(rendered), *_check_labels(template, table), *_check_missing(template, table, rendered)]
    return [finding(check, template.name, f"{message} of {dataset} [{split}]") for check, message in found]


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
        if not failures:
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


def _check_labels(template: Template, table: pa.Table) -> Iterator[tuple[str, str]]:
    prepared = template.prepared()
    for node in prepared.main.tree.find_all(nodes.Getitem):
        of_choices = isinstance(node.node, nodes.Name) and node.node.name == ANSWER_CHOICES
        name = node.arg.name if of_choices and isinstance(node.arg, nodes.Name) else None
        if name is None or name not in table.column_names or not pa.types.is_integer(table[name].type):
            continue
        hidden = pc.sum(pc.less(table[name], 0)).as_py() or 0
        if hidden and not _is_tested(prepared.main.tree, name):
            yield "hidden-label", f"{name} is negative on {hidden} of {table.num_rows} rows"
        if prepared.fixed_choices is not None:
            beyond = pc.sum(pc.greater_equal(table[name], len(prepared.fixed_choices))).as_py() or 0
            if beyond:
                yield "choice-out-of-range", f"{name} is beyond the choices on {beyond} of {table.num_rows} rows"
        return


def _is_tested(tree: nodes.Template, name: str) -> bool:
    """Tell whether a condition of the template asks for the label."""
    conditions: list[nodes.Node] = [statement.test for statement in tree.find_all(nodes.If)]
    conditions += [expression.test for expression in tree.find_all(nodes.CondExpr)]
    return any(found.name == name for condition in conditions for found in condition.find_all(nodes.Name))


def _check_missing(template: Template, table: pa.Table, rendered: RenderedColumns) -> Iterator[tuple[str, str]]:
    for name in sorted(template.prepared().names & set(table.column_names)):
        missing = pc.is_null(table[name].combine_chunks())
        said = pc.match_substring(pc.fill_null(rendered.inputs, ""), "None")
        both = pc.sum(pc.and_(missing, said)).as_py() or 0
        if both:
            yield "prints-none", f"{name} is missing and the inputs say None on {both} of {table.num_rows} rows"
