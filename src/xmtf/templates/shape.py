"""The shape of a source: text, fields, choices and conditions, where it is made of nothing else.

    source   "{% if a == 1 %}Is {{b}}? ||| {{answer_choices[c]}}{% endif %}"
    shape    (Branch(a == 1, ("Is ", Field b, "? ||| ", Choice c), ()),)

Sources of this shape are rendered by column (:mod:`xmtf.templates.substitute`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from jinja2 import nodes

from xmtf.templates.compile import PIPES, environment
from xmtf.templates.render import ANSWER_CHOICES
from xmtf.templates.sandbox import DICT_METHODS

__all__ = [
    "AllChoices",
    "Block",
    "Branch",
    "Choice",
    "Field",
    "Piece",
    "pipes_may_meet",
    "read_field",
    "read_shape",
    "split_parts",
]

_METHODS = {"capitalize": "capitalize", "lower": "lower", "trim": "strip", "upper": "upper"}
"""Filter -> method of ``str`` that does the same without arguments."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column, or a value inside it: ``answers.text[0]`` is ``Field("answers", ("text", 0))``.

    Attributes:
        name: Column.
        path: Fields of structs and indices of lists to follow.
        methods: Methods of ``str`` applied to it as text, in order.
    """

    name: str
    path: tuple[str | int, ...] = ()
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """``answer_choices[index]``."""

    index: int | Field


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


def _read_piece(node: nodes.Expr, cut: bool) -> Piece | None:
    if isinstance(node, nodes.TemplateData):
        return node.data
    inner = _uncut(node) if cut else node
    if inner is None:
        return None
    if isinstance(inner, nodes.Getitem) and _is_choices(inner.node):
        if isinstance(inner.arg, nodes.Const) and type(inner.arg.value) is int:
            return Choice(inner.arg.value)
        index = read_field(inner.arg)
        return Choice(index) if index is not None else None
    if isinstance(inner, nodes.Filter) and inner.name == "join" and _is_choices(inner.node):
        return _read_join(inner)
    return _read_applied(inner)


def _uncut(node: nodes.Expr) -> nodes.Expr | None:
    """Return the expression inside the ``| string | truncate(2048)`` of legacy mode."""
    if isinstance(node, nodes.Filter) and node.name == "truncate" and isinstance(node.node, nodes.Filter):
        return node.node.node if node.node.name == "string" else None
    return None


def _is_choices(node: nodes.Expr | None) -> bool:
    return isinstance(node, nodes.Name) and node.name == ANSWER_CHOICES


def _read_join(node: nodes.Filter) -> AllChoices | None:
    if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > 1:
        return None
    separator = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else ""
    plain = (
        isinstance(separator, str) and "|" not in separator and (not node.args or isinstance(node.args[0], nodes.Const))
    )
    return AllChoices(separator) if plain else None


def _read_applied(node: nodes.Expr) -> Field | None:
    methods: list[str] = []
    while isinstance(node, nodes.Filter):
        plain = not (node.args or node.kwargs or node.dyn_args or node.dyn_kwargs)
        if node.name not in _METHODS or not plain or node.node is None:
            return None
        methods.append(_METHODS[node.name])
        node = node.node
    field = read_field(node)
    return None if field is None else Field(field.name, field.path, tuple(reversed(methods)))


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
    """Tell whether pipes of a field could join others beside it to make three, which part in legacy mode."""
    for left, right in itertools.pairwise(pieces):
        ends = not isinstance(left, str) or left.split(PIPES)[-1].endswith("|")
        starts = not isinstance(right, str) or right.split(PIPES)[0].startswith("|")
        if ends and starts:
            return True
    return False
