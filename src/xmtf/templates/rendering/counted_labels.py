"""Labels that are counted from 1: all but the last pick the choice after their own, and nothing else would say so.

::

    answer_choices   label      picks     means
    yes ||| no       1          no        yes
                     2          nothing   no
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import nodes

from xmtf.templates.rendering.columns import RenderedColumns
from xmtf.templates.rendering.expressions import field_path
from xmtf.templates.rendering.render import ANSWER_CHOICES, Prepared
from xmtf.templates.sandbox.unfit import LABEL_RANGE

__all__ = ["say_counted_from_one"]

_NUMBER = re.compile(r"of (\d+) answer choices")
_SHOWN = 6


def say_counted_from_one(prepared: Prepared, rendered: RenderedColumns, table: pa.Table) -> str | None:
    """Describe of a column of labels that it counts from 1: it goes up to the number of choices, and 0 is not there.

    A template that asks for a label before it picks (``{% if label < 2 %}``) leaves no row without a choice, and may
    count as it likes.

    Args:
        prepared: The template.
        rendered: The rendered table.
        table: The rows.

    Returns:
        What is wrong, with the column, its values, the choices and what to do; None where nothing is.
    """
    beyond = [each for each in rendered.unfit if each.reason == LABEL_RANGE]
    found = _NUMBER.search(beyond[0].detail) if beyond else None
    if found is None:
        return None
    number = max(int(found[1]), pc.max(pc.list_value_length(rendered.choices)).as_py() or 0)
    for path in dict.fromkeys(_label_paths(prepared.main.tree)):
        seen = sorted({value for value in _numbers(table, path) if value >= 0})
        if len(seen) > 1 and seen[0] > 0 and seen[-1] == number:
            return _explain(path, seen, number, prepared.fixed_choices)
    return None


def _explain(path: str, seen: list[int], number: int, choices: tuple[str, ...] | None) -> str:
    values = ", ".join(map(str, seen[:_SHOWN])) + (", ..." if len(seen) > _SHOWN else "")
    named = f" ({', '.join(map(repr, choices[:_SHOWN]))})" if choices and len(choices) == number else ""
    first = f", so that 1 picks {choices[1]!r}" if named and choices and number > 1 else ""
    return (
        f"the column {path!r} counts from 1: its values are {values}, but there are {number} answer choices{named}, "
        f"counted from 0{first} and {number} picks none; write answer_choices[{path} - 1], or let the column count "
        "from 0"
    )


def _label_paths(tree: nodes.Template) -> Iterator[str]:
    """Yield the fields that pick an answer choice, or an item of a list that the template writes."""
    set_to = {
        each.target.name: each.node for each in tree.find_all(nodes.Assign) if isinstance(each.target, nodes.Name)
    }
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.node, nodes.Name) and item.node.name != ANSWER_CHOICES:
            listed = isinstance(set_to.get(item.node.name), nodes.List)
        else:
            listed = isinstance(item.node, nodes.Name | nodes.List)
        path = _path(item.arg, set_to) if listed else None
        if path is not None:
            yield path


def _path(node: nodes.Node | None, set_to: dict[str, nodes.Node]) -> str | None:
    while isinstance(node, nodes.Filter) and node.name == "int":
        node = node.node
    if isinstance(node, nodes.Name) and node.name in set_to:
        return _path(set_to[node.name], {})
    return None if node is None else field_path(node)


def _numbers(table: pa.Table, path: str) -> Iterator[int]:
    """Yield the whole numbers that a field holds, also those written as text or as decimals."""
    name, *steps = path.split(".")
    columns = {column.replace("-", "_"): number for number, column in enumerate(table.column_names)}
    if name not in columns:
        return
    values: list[object] = table.column(columns[name]).to_pylist()
    for value in values:
        for step in steps:
            value = _step(value, step)
        if isinstance(value, str | float | int) and not isinstance(value, bool):
            number = _whole(value)
            if number is not None:
                yield number


def _step(value: object, step: str) -> object:
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None


def _whole(value: str | float) -> int | None:
    try:
        return int(value) if float(value).is_integer() else None
    except ValueError:
        return None
