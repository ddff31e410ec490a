"""The shape of a source: text, fields, choices and conditions, where it is made of nothing else.

    source   "{% if a == 1 %}Is {{b}}? ||| {{answer_choices[c]}}{% endif %}"
    shape    (Branch(a == 1, ("Is ", Field b, "? ||| ", Choice c), ()),)

Sources of this shape are rendered by column (:mod:`xmtf.templates.rendering.substitute`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from jinja2 import nodes

from xmtf.templates.rendering.compile import PIPES, environment
from xmtf.templates.rendering.render import ANSWER_CHOICES
from xmtf.templates.sandbox.environment import DICT_METHODS

__all__ = [
    "AllChoices",
    "Block",
    "Branch",
    "Choice",
    "Field",
    "Piece",
    "pipes_may_meet",
    "read_field",
    "read_listed_choices",
    "read_shape",
    "split_parts",
]

_METHODS = {"capitalize": "capitalize", "lower": "lower", "trim": "strip", "upper": "upper"}
"""Filter -> method of ``str`` that does the same without arguments."""

_NEVER_CUT = 2000
"""Shorter texts stay whole in legacy mode."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a value inside it: ``answers.text[0]`` is ``Field("answers", ("text", 0))``.

    Attributes:
        name: Column.
        path: Fields of structs and indices of lists to follow.
        methods: Methods of ``str`` applied to it as text, in order.
        cut: Start and stop of a slice taken of it before that, or None.
        separator: What the items of a list are joined with, or None.
    """

    name: str
    path: tuple[str | int, ...] = ()
    methods: tuple[str, ...] = ()
    cut: tuple[int | None, int | None] | None = None
    separator: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """``answer_choices[index]``, or ``answer_choices[index | int - 1]``.

    Attributes:
        index: Constant, or the column that holds it.
        as_int: Whether the filter ``int`` reads a number from the column.
        offset: Added to the number of the column.
    """

    index: int | Field
    as_int: bool = False
    offset: int = 0


@dataclass(frozen=True, slots=True)
class AllChoices:
    """``answer_choices | join(separator)``."""

    separator: str


Piece = str | Field | Choice | AllChoices


@dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """``{% if test %}body{% else %}otherwise{% endif %}``."""

    test: nodes.Expr
    body: Block
    otherwise: Block


Block = tuple["Piece | Branch", ...]


@dataclass(frozen=True, slots=True)
class ListedChoices:
    """``{{ field | join("|||") }}`` as answer choices: the items of a list, one choice each."""

    field: Field


def read_shape(tree: nodes.Template, cut: bool) -> Block | None:
    """Return the shape of a source, or None where it does more.

    Args:
        tree: Syntax tree, before guarding.
        cut: Whether every expression carries the ``| string | truncate(2048)`` of legacy mode.
    """
    return _read_block(tree.body, cut)


def _read_block(statements: Sequence[nodes.Node], cut: bool) -> Block | None:
    block: list[Piece | Branch] = []
    for statement in statements:
        if isinstance(statement, nodes.Output):
            pieces = [_read_piece(node, cut) for node in statement.nodes]
            if None in pieces:
                return None
            block += [piece for piece in pieces if piece is not None]
        elif isinstance(statement, nodes.If):
            branch = _read_branch(statement, list(statement.elif_), cut)
            if branch is None:
                return None
            block.append(branch)
        else:
            return None
    return tuple(block)


def _read_branch(statement: nodes.If, others: list[nodes.If], cut: bool) -> Branch | None:
    body = _read_block(statement.body, cut)
    if others:
        first, *rest = others
        first = nodes.If(first.test, first.body, [], statement.else_, lineno=first.lineno)
        branch = _read_branch(first, rest, cut)
        otherwise: Block | None = None if branch is None else (branch,)
    else:
        otherwise = _read_block(statement.else_, cut)
    if body is None or otherwise is None:
        return None
    return Branch(cast(nodes.Expr, statement.test), body, otherwise)


def _read_piece(node: nodes.Expr, cut: bool) -> Piece | Branch | None:
    if isinstance(node, nodes.TemplateData):
        return node.data
    inner = _uncut(node) if cut else node
    if isinstance(inner, nodes.Const) and isinstance(inner.value, str) and "|" not in inner.value:
        return inner.value if len(inner.value) < _NEVER_CUT else None
    if isinstance(inner, nodes.CondExpr):
        return _read_conditional(inner)
    if isinstance(inner, nodes.Getitem) and _is_choices(inner.node):
        return _read_choice(inner.arg)
    if isinstance(inner, nodes.Filter) and inner.name == "join":
        return _read_join(inner)
    if isinstance(inner, nodes.Call):
        return _read_join_call(inner)
    return None if inner is None else _read_applied(inner)


def _read_conditional(node: nodes.CondExpr) -> Branch | None:
    body = _read_piece(node.expr1, cut=False)
    otherwise = "" if node.expr2 is None else _read_piece(node.expr2, cut=False)
    return None if body is None or otherwise is None else Branch(node.test, (body,), (otherwise,))


def _read_choice(index: nodes.Expr) -> Choice | None:
    """Return the choice of ``1``, ``label``, ``label - 1``, ``label | int`` or ``label | int - 1``."""
    sign, constant = (-1, index.node) if isinstance(index, nodes.Neg) else (1, index)
    if isinstance(constant, nodes.Const):
        return Choice(sign * constant.value) if type(constant.value) is int else None
    offset = 0
    if isinstance(index, nodes.Add | nodes.Sub):
        if not isinstance(index.right, nodes.Const) or type(index.right.value) is not int:
            return None
        offset = index.right.value if isinstance(index, nodes.Add) else -index.right.value
        index = index.left
    as_int = isinstance(index, nodes.Filter) and index.name == "int" and not _arguments(index)
    if as_int and isinstance(index, nodes.Filter) and index.node is not None:
        index = index.node
    field = read_field(index)
    return None if field is None or abs(offset) > 1000 else Choice(field, as_int, offset)


def _arguments(node: nodes.Filter | nodes.Call) -> bool:
    return bool(node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)


def _uncut(node: nodes.Expr) -> nodes.Expr | None:
    """Return the expression inside the ``| string | truncate(2048)`` of legacy mode."""
    if isinstance(node, nodes.Filter) and node.name == "truncate" and isinstance(node.node, nodes.Filter):
        return node.node.node if node.node.name == "string" else None
    return None


def _is_choices(node: nodes.Expr | None) -> bool:
    return isinstance(node, nodes.Name) and node.name == ANSWER_CHOICES


def _read_join(node: nodes.Filter) -> AllChoices | Field | None:
    if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > 1 or node.node is None:
        return None
    separator = node.args[0] if node.args else nodes.Const("")
    if not isinstance(separator, nodes.Const) or not isinstance(separator.value, str) or "|" in separator.value:
        return None
    if _is_choices(node.node):
        return AllChoices(separator.value)
    field = read_field(node.node)
    return None if field is None else replace(field, separator=separator.value)


def _read_join_call(node: nodes.Call) -> AllChoices | Field | None:
    """Return what ``", ".join(answer_choices)`` joins."""
    function = node.node
    if not isinstance(function, nodes.Getattr) or function.attr != "join" or len(node.args) != 1:
        return None
    if node.kwargs or node.dyn_args or node.dyn_kwargs or not isinstance(function.node, nodes.Const):
        return None
    return (
        _read_join(nodes.Filter(node.args[0], "join", [function.node], [], None, None))
        if _is_choices(node.args[0])
        else None
    )


def read_listed_choices(tree: nodes.Template) -> ListedChoices | None:
    """Return the list whose items are the answer choices, where the source only joins it with ``|||``."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return None
    pieces = [node for node in tree.body[0].nodes if not isinstance(node, nodes.TemplateData) or node.data.strip()]
    if len(pieces) != 1 or not isinstance(pieces[0], nodes.Filter) or pieces[0].name != "join":
        return None
    join = pieces[0]
    separator = join.args[0] if len(join.args) == 1 else None
    field = read_field(join.node) if join.node is not None else None
    plain = not (join.kwargs or join.dyn_args or join.dyn_kwargs)
    if not isinstance(separator, nodes.Const) or not isinstance(separator.value, str) or not plain or field is None:
        return None
    return ListedChoices(field) if separator.value.strip() == PIPES else None


def _read_applied(node: nodes.Expr) -> Field | None:
    methods: list[str] = []
    while isinstance(node, nodes.Filter):
        if node.name not in _METHODS or _arguments(node) or node.node is None:
            return None
        methods.append(_METHODS[node.name])
        node = node.node
    cut = None
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        cut = _read_slice(node.arg)
        if cut is None:
            return None
        node = node.node
    field = read_field(node)
    return None if field is None else replace(field, methods=tuple(reversed(methods)), cut=cut)


def _read_slice(node: nodes.Slice) -> tuple[int | None, int | None] | None:
    ends = (node.start, node.stop)
    if node.step is not None or any(end is not None and not _is_count(end) for end in ends):
        return None
    start, stop = (end.value if isinstance(end, nodes.Const) else None for end in ends)
    return start, stop


def _is_count(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Const) and type(node.value) is int and 0 <= node.value < 2**31


def read_field(node: nodes.Expr) -> Field | None:
    """Return the field that an expression follows, or None where it does more."""
    path: list[str | int] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr) and node.attr not in DICT_METHODS:
            path.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            if type(node.arg.value) not in (str, int):
                return None
            path.append(node.arg.value)
        else:
            return None
        node = node.node
    if node.name == ANSWER_CHOICES or node.name in environment().globals:
        return None
    return Field(node.name, tuple(reversed(path)))


def split_parts(pieces: Sequence[Piece]) -> tuple[tuple[Piece, ...], ...]:
    """Part pieces at the ``|||`` of their text: ``("a ||| b", Field)`` becomes ``(("a ",), (" b", Field))``."""
    parts: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, str):
            first, *others = piece.split(PIPES)
            parts[-1].append(first)
            parts.extend([other] for other in others)
        else:
            parts[-1].append(piece)
    return tuple(tuple(piece for piece in part if piece != "") for part in parts)


def pipes_may_meet(pieces: Sequence[Piece]) -> bool:
    """Return whether pipes of a field could join others next to it to make three, which part in legacy mode."""
    for left, right in itertools.pairwise(pieces):
        ends = not isinstance(left, str) or left.split(PIPES)[-1].endswith("|")
        starts = not isinstance(right, str) or right.split(PIPES)[0].startswith("|")
        if ends and starts:
            return True
    return False
