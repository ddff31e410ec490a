"""Fields that a template reads and the rows cannot have: misspelt columns, and misspelt names inside them.

Jinja would quietly print nothing for them. What the types of the columns say is enough to find them: no row is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pyarrow as pa
from jinja2 import nodes

from xmtf.errors import nearest
from xmtf.templates.rendering.render import ANSWER_CHOICES, Prepared
from xmtf.templates.sandbox.environment import DICT_METHODS, GLOBALS

__all__ = ["AbsentField", "absent_fields"]

_ASKING = ("default", "d")
_TESTS = ("defined", "undefined", "none")


@dataclass(frozen=True, slots=True)
class AbsentField:
    """A field that the rows do not have.

    Attributes:
        path: As the template reads it: ``answers.txet``.
        known: What there is in its place, as paths.
    """

    path: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        near = nearest(self.path, self.known)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(self.known)) or 'none'}"
        what = "the column " if "." not in self.path else ""
        return f"reads {what}{self.path!r}, which the rows do not have; {hint}"


def absent_fields(prepared: Prepared, schema: pa.Schema) -> list[AbsentField]:
    """Return the fields that a template reads and the rows do not have, once each, in order.

    A name that the template itself asks about (``is defined``, ``default``) may be absent; the others may not.
    """
    columns = {field.name.replace("-", "_"): field.type for field in schema}
    programs = [prepared.main, *([prepared.choices] if prepared.choices is not None else [])]
    found: dict[str, AbsentField] = {}
    for program in programs:
        asked = set(_asked(program.tree))
        for name in sorted(program.names - {ANSWER_CHOICES} - asked - columns.keys()):
            found.setdefault(name, AbsentField(name, tuple(columns)))
        own = {node.name for node in program.tree.find_all(nodes.Name) if node.ctx != "load"}
        types = {name: kind for name, kind in columns.items() if name not in own}
        for path, known in _absent_inside(program.tree, types):
            if path not in asked:
                found.setdefault(path, AbsentField(path, known))
    return list(found.values())


def _asked(tree: nodes.Template) -> Iterator[str]:
    """Yield the paths of what a template asks whether it is there."""
    for test in tree.find_all(nodes.Test):
        if test.name in _TESTS:
            yield from _path_of(test.node)
    for each in tree.find_all(nodes.Filter):
        if each.name in _ASKING and each.node is not None:
            yield from _path_of(each.node)
    for either in tree.find_all(nodes.Or):
        yield from _path_of(either.left)


def _path_of(node: nodes.Expr) -> Iterator[str]:
    found = _read_path(node)
    if found is not None:
        yield ".".join([found[0], *(str(step) for step in found[1])])


def _read_path(node: nodes.Expr) -> tuple[str, list[str | int]] | None:
    steps: list[str | int] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            steps.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            if not isinstance(node.arg.value, str | int):
                return None
            steps.append(node.arg.value)
        elif isinstance(node, nodes.Getitem):
            steps.append(0)  # an index that is computed, or a slice: an item of a list
        else:
            return None
        node = node.node
    return node.name, steps[::-1]


def _absent_inside(tree: nodes.Node, types: dict[str, pa.DataType]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield fields of structs that their types do not have, with those that they have; loops bind their items."""
    if isinstance(tree, nodes.For) and isinstance(tree.target, nodes.Name):
        item = _item_type(cast(nodes.Expr, tree.iter), types)
        if item is not None:
            types = types | {tree.target.name: item}
    if isinstance(tree, nodes.Call) and isinstance(tree.node, nodes.Getattr):
        yield from _absent_inside(tree.node.node, types)  # a method: its name is no field
        for argument in tree.args:
            yield from _absent_inside(argument, types)
        return
    if isinstance(tree, nodes.Getattr | nodes.Getitem):
        yield from _absent_step(tree, types)
    for child in tree.iter_child_nodes():
        yield from _absent_inside(child, types)


def _absent_step(
    node: nodes.Getattr | nodes.Getitem, types: dict[str, pa.DataType]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    found = _read_path(node)
    if found is None or found[0] not in types or not isinstance(found[1][-1], str):
        return
    name, steps = found
    parent = _follow(types[name], steps[:-1])
    if parent is None or not pa.types.is_struct(parent) or parent.num_fields == 0:
        return
    known = {parent.field(number).name for number in range(parent.num_fields)}
    if steps[-1] in known or (isinstance(node, nodes.Getattr) and node.attr in DICT_METHODS):
        return
    prefix = ".".join([name, *(str(step) for step in steps[:-1])])
    yield f"{prefix}.{steps[-1]}", tuple(f"{prefix}.{each}" for each in sorted(known))


def _item_type(node: nodes.Expr, types: dict[str, pa.DataType]) -> pa.DataType | None:
    found = _read_path(node)
    if found is None or found[0] not in types or found[0] in GLOBALS:
        return None
    kind = _follow(types[found[0]], found[1])
    return _follow(kind, [0]) if kind is not None else None


def _follow(kind: pa.DataType, steps: list[str | int]) -> pa.DataType | None:
    for step in steps:
        if pa.types.is_struct(kind) and isinstance(step, str) and kind.get_field_index(step) >= 0:
            kind = kind.field(step).type
        elif isinstance(step, int) and _is_listed(kind):
            kind = kind.value_type
        else:
            return None
    return kind


def _is_listed(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    return any(is_one(kind) for is_one in tests)
