"""Compile a template once: parse, guard, turn into Python.

Guarding rewrites the syntax tree so that what loops or grows pays as it goes; an ordinary template
(text, fields, ``if``, filters) compiles to the code that Jinja would make of it anyway.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer

from xmtf.templates.rendering.expressions import describe_expression
from xmtf.templates.sandbox.environment import CALLED, DICT_METHODS, GLOBALS, MUTATORS, TemplateEnvironment
from xmtf.templates.sandbox.limits import BUDGET, LimitError
from xmtf.templates.sandbox.unfit import (
    NULL_INPUTS,
    NULL_TARGET,
    SEMANTICS,
    NullPrintedError,
    Nulls,
    UnfitRowError,
)

__all__ = ["FAULTS", "PIPES", "SEPARATOR", "Program", "compile_source", "environment", "guard_tree", "refuse_foreign"]

PIPES = "|||"
"""What parts inputs, targets and answer choices in the source of a template."""
SEPARATOR = "\ufdd0|||\ufdd1"
"""What stands for the pipes of the source in rendered text, so that pipes in the data stay text."""

FAULTS = (
    jinja2.TemplateError,
    LimitError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    AssertionError,
)
"""What a template can raise; the sandbox turns each into a TemplateError or a Failure."""

_MAX_SOURCE = 100_000
_LARGE = 500
_SELF, _SELF_COLUMN = "self", "_column_self"
"""A name that Jinja keeps for itself, and the one under which a template sees a column that bears it (fixed mode)."""
_FOREIGN = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport, nodes.Block)


@cache
def environment() -> TemplateEnvironment:
    """Return the one environment of the process."""
    return TemplateEnvironment()


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled source.

    Attributes:
        names: Columns that it reads (``answer_choices`` among them where it reads that).
        shadowing: Names of functions, such as ``range``, that it reads without calling them: columns, where the rows
            have such.
        mutates: Whether it changes lists or dicts of the row in place.
        draws: Whether it draws random numbers.
        tree: Its syntax tree before guarding.
        root: The generated function.
    """

    names: frozenset[str]
    shadowing: frozenset[str]
    mutates: bool
    draws: bool
    tree: nodes.Template = field(repr=False)
    root: Callable[[Context], Iterator[str]] = field(repr=False)

    def run(self, values: dict[str, Any], nulls: Nulls, null_reason: str | None = None) -> str:
        """Render with these variables; raises any of ``FAULTS``.

        Args:
            values: Name -> value.
            nulls: What a null becomes that is printed.
            null_reason: Why a row is unfit whose null is printed; None: a null in the inputs, or in the target.

        Raises:
            UnfitRowError: A null is printed and ``nulls`` is ``drop``, or a label picks no answer choice.
        """
        jinja = environment()
        if _SELF in values:
            values = {**values, _SELF_COLUMN: values[_SELF]}
        context = Context(jinja, {**jinja.globals, **values}, None, {})
        SEMANTICS.nulls = nulls
        texts: list[str] = []
        try:
            texts.extend(self.root(context))
        except NullPrintedError as error:
            side = NULL_TARGET if any(SEPARATOR in text for text in texts) else NULL_INPUTS
            raise UnfitRowError(null_reason or side, str(error)) from None
        return jinja.concat(texts)


@lru_cache(maxsize=16_384)
def compile_source(source: str, structural: bool) -> Program:
    """Compile Jinja source; equal sources are compiled once in a process.

    Args:
        source: Text of the template.
        structural: Whether the pipes of the source become ``SEPARATOR`` (fixed mode), or stay text.

    Raises:
        jinja2.TemplateSyntaxError: The source does not parse, or uses what templates may not use.
    """
    if len(source) > _MAX_SOURCE:
        raise LimitError(f"a source of {len(source):,} characters; at most {_MAX_SOURCE:,} are read")
    BUDGET.start()
    jinja = environment()
    tree = jinja.parse(source)
    for constant in tree.find_all(nodes.Const):
        if isinstance(constant.value, str):
            constant.value.encode()  # half of a surrogate pair could not be written to a file
        elif structural and isinstance(constant.value, float) and not math.isfinite(constant.value):
            raise jinja2.TemplateSyntaxError("a number is too large to print", constant.lineno)
    refuse_foreign(tree)
    names = frozenset(meta.find_undeclared_variables(copy.deepcopy(tree)))  # it would fold constants in the tree
    if structural and {name.ctx for name in tree.find_all(nodes.Name) if name.name == _SELF} == {"load"}:
        names |= {_SELF}
    called = {id(node.node) for node in tree.find_all(nodes.Call)}
    shadowing = GLOBALS & {name.name for name in tree.find_all(nodes.Name) if id(name) not in called}
    draws = any(_names_draw(node) for node in tree.find_all(nodes.Expr))
    guarded = guard_tree(copy.deepcopy(tree), structural=structural)
    template = jinja.template_class.from_code(jinja, jinja.compile(guarded), jinja.globals)
    return Program(names, shadowing, _mutates(tree), draws, tree, template.root_render_func)


def refuse_foreign(tree: nodes.Template) -> None:
    """Refuse a template that reads others.

    Raises:
        jinja2.TemplateSyntaxError: It does.
    """
    foreign = next((node for kind in _FOREIGN for node in tree.find_all(kind)), None)
    if foreign is not None:
        what = type(foreign).__name__.lower()
        raise jinja2.TemplateSyntaxError(
            f"{what} is not available: templates cannot use other templates", foreign.lineno
        )


def guard_tree(tree: nodes.Template, *, structural: bool) -> nodes.Template:
    """Rewrite a syntax tree, in place, so that what loops or grows pays; see :func:`compile_source`."""
    guarded: nodes.Template = _Guard(structural, _mutates(tree), _count(tree) > _LARGE).visit(tree)
    return guarded


def _mutates(tree: nodes.Template) -> bool:
    return any(_attribute(node) in MUTATORS for node in tree.find_all(nodes.Expr))


def _attribute(node: nodes.Expr) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.arg.value
    return None


def _names_draw(node: nodes.Expr) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in ("choice", "random")
    return isinstance(node, nodes.Const) and node.value in ("choice", "random")


def _count(node: nodes.Node) -> int:
    return 1 + sum(1 for _ in node.find_all(nodes.Node))


def _filter(node: nodes.Node, name: str, *arguments: str) -> nodes.Filter:
    constants = [nodes.Const(argument) for argument in arguments]
    return nodes.Filter(node, name, constants, [], None, None, lineno=node.lineno or 1)


def _is_text(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.TemplateData) or (isinstance(node, nodes.Const) and isinstance(node.value, str))


def _is_constant(node: nodes.Expr) -> bool:
    return isinstance(node, nodes.Const) or (isinstance(node, nodes.Neg) and isinstance(node.node, nodes.Const))


class _Guard(NodeTransformer):
    """Rewrite a syntax tree so that loops, comparisons in loops and new lists pay, and so that only text is printed.

    In fixed mode (``structural``) names of columns and keys win over those of functions and methods that are not
    called, and labels pick answer choices or are faults.
    """

    def __init__(self, structural: bool, mutates: bool, large: bool) -> None:
        self.structural = structural
        self.mutates = mutates
        self.compares = mutates or large
        self.plain = 0

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:  # noqa: N802
        if self.structural:
            node.data = node.data.replace(PIPES, SEPARATOR)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Node:  # noqa: N802
        if self.structural and node.name == _SELF:
            node.name = _SELF_COLUMN
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        if self.structural and not self.plain and isinstance(node.value, str):
            node.value = node.value.replace(PIPES, SEPARATOR)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802
        size = _count(node)
        node = self._in_loop(node)
        node.body.insert(0, self._step(size))
        if node.test is not None:
            node.test = nodes.And(self._step(size).node, node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:  # noqa: N802
        size = _count(node)
        node = self._in_loop(node)
        node.body.insert(0, self._step(size))
        return node

    visit_CallBlock = visit_Macro  # noqa: N815

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(nodes.List(self._used(node.nodes), lineno=node.lineno), " concat")

    def visit_List(self, node: nodes.List | nodes.Tuple | nodes.Dict) -> nodes.Expr:  # noqa: N802
        self.generic_visit(node)
        stored = isinstance(node, nodes.Tuple) and node.ctx != "load"
        if stored or not any(node.find(kind) for kind in (nodes.Name, nodes.Filter, nodes.Call)):
            return node
        return _filter(node, " made")

    visit_Tuple = visit_Dict = visit_List  # noqa: N815

    def visit_Assign(self, node: nodes.Assign) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.target, nodes.NSRef) or node.target.find(nodes.NSRef) is not None:
            node.node = _filter(node.node, " value")
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Node:  # noqa: N802
        labels = [describe_expression(each) for each in node.nodes]
        self.generic_visit(node)
        node.nodes = [
            each if _is_text(each) else _filter(self._used([each])[0], " printed", label)
            for each, label in zip(node.nodes, labels, strict=True)
        ]
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filter(node.node, " key", node.attr) if self.structural and node.attr in DICT_METHODS else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        literal = isinstance(node.node, nodes.List | nodes.Tuple)
        self.generic_visit(node)
        if not self.structural:
            return node
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter(node.node, " sliced")
        elif not _is_constant(node.arg):
            picks = " label" if literal else " item"
            return nodes.Filter(node.node, picks, [node.arg], [], None, None, lineno=node.lineno)
        return node

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if self.structural and node.expr2 is None:
            node.expr2 = nodes.Const("", lineno=node.lineno)  # nothing, and meant to be
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self._plainly(node)
        if self.compares:
            node.expr = _weighed(node.expr)
            for operand in node.ops:
                operand.expr = _weighed(operand.expr)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Node:  # noqa: N802
        self._plainly(node)
        if self.compares:
            node.node = _weighed(node.node)
            node.args = [_weighed(argument) for argument in node.args or []]
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:  # noqa: N802
        inner = self.visit(node.node) if node.node is not None else None
        node.node = None
        if node.name == "replace":
            self._plainly(node)
        else:
            self.generic_visit(node)
        node.node = self._used([inner])[0] if inner is not None else None
        node.args = self._used(node.args)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        if isinstance(node.node, nodes.Name) and node.node.name in GLOBALS and self.structural:
            function: nodes.Expr = nodes.Name(CALLED + node.node.name, "load", lineno=node.lineno)
        elif isinstance(node.node, nodes.Getattr):
            function = nodes.Getattr(self.visit(node.node.node), node.node.attr, "load", lineno=node.lineno)
        else:
            function = self.visit(node.node)
        node.node = nodes.Const(None)
        if isinstance(function, nodes.Getattr) and function.attr != "join":
            self._plainly(node)
        else:
            self.generic_visit(node)
        node.node = function
        node.args = self._used(node.args)
        return node

    def _used(self, expressions: list[nodes.Expr]) -> list[nodes.Expr]:
        """Weigh values before they are used, where a list may have grown inside another since it was made."""
        return [_weighed(expression) for expression in expressions] if self.mutates else expressions

    def _in_loop(self, node: Any) -> Any:
        before, self.compares = self.compares, True
        self.generic_visit(node)
        self.compares = before
        return node

    def _plainly(self, node: nodes.Node) -> None:
        self.plain += 1
        self.generic_visit(node)
        self.plain -= 1

    @staticmethod
    def _step(size: int) -> nodes.ExprStmt:
        return nodes.ExprStmt(_filter(nodes.Const(size, lineno=1), " step"), lineno=1)


def _weighed(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filter(node, " weigh")
