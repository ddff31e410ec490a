"""Render templates that only put fields between pieces of text, a column at a time.

    source   "Is {{a}} like {{b}}? ||| {{answer_choices[label]}}"     choices "No ||| Yes"
    inputs   trim(join("Is ", a, " like ", b, "? "))                  in Arrow
    targets  trim(take(["No", "Yes"], label))

The result is the same as row by row. Where that is not certain (a type with its own ideas of text, pipes
inside nested values in legacy mode, a label that is no whole number) the plan says so and the table is
rendered row by row instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import jinja2
import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import nodes

from xmtf.templates.compile import PIPES, environment
from xmtf.templates.render import ANSWER_CHOICES, Mode, prepare
from xmtf.templates.sandbox import DICT_METHODS

__all__ = ["SPACE", "Substitution", "substitution"]

SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What ``str.strip`` removes; Arrow's own trimming of white space removes other characters."""

_LEGACY_LENGTH = 2048
_LEGACY_LEEWAY = 5

Columns = tuple[pa.StringArray, pa.ListArray, pa.ListArray]


@dataclass(frozen=True, slots=True)
class _Field:
    """A column, or a value inside it: ``answers.text[0]`` is ``_Field("answers", ("text", 0))``."""

    name: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """``answer_choices[index]``."""

    index: int | _Field


_Piece = str | _Field | _Choice


@dataclass(frozen=True, slots=True)
class Substitution:
    """How to render a template by column.

    Attributes:
        inputs: Pieces of the inputs.
        targets: Pieces of each target.
        choices: Pieces of each answer choice, or None where there are none.
        mode: Semantics.
    """

    inputs: tuple[_Piece, ...]
    targets: tuple[tuple[_Piece, ...], ...]
    choices: tuple[tuple[_Piece, ...], ...] | None
    mode: Mode

    def render(self, batch: pa.Table) -> Columns | None:
        """Return inputs, targets and choices of every row, or None where it must be done row by row."""
        if ANSWER_CHOICES in batch.column_names:
            return None
        try:
            maker = _Maker(batch, self.mode)
            if self.choices is not None:
                maker.choices = [maker.join(pieces, cut=False) for pieces in self.choices]
            inputs = maker.join(self.inputs)
            targets = [maker.join(pieces) for pieces in self.targets]
        except _RowByRowError:
            return None
        choices = pa.nulls(batch.num_rows, pa.list_(pa.string()))
        if self.choices is not None:
            choices = _interleave(maker.choices)
        return inputs, _interleave(targets), choices


class _RowByRowError(Exception):
    """This table cannot be rendered by column."""


@lru_cache(maxsize=16_384)
def substitution(jinja: str, answer_choices: str | None, mode: Mode) -> Substitution | None:
    """Return the plan of a template, or None where it does more than put fields between text."""
    prepared = prepare(jinja, answer_choices, mode)
    choices: tuple[tuple[_Piece, ...], ...] | None = None
    if prepared.choices is None:
        pass
    elif prepared.fixed_choices is not None:
        choices = tuple((choice,) for choice in prepared.fixed_choices)
    else:
        choices = _parts(prepared.choices.tree, cut=False)
        if choices is None:
            return None
    parts = _parts(prepared.main.tree, cut=mode == "legacy")
    if parts is None or len(parts) < 2:
        return None
    has_choices = any(isinstance(piece, _Choice) for part in parts for piece in part)
    if has_choices and choices is None:
        return None
    return Substitution(parts[0], parts[1:], choices, mode)


def _parts(tree: nodes.Template, cut: bool) -> tuple[tuple[_Piece, ...], ...] | None:
    """Return the pieces of each part of the source, or None."""
    pieces: list[_Piece] = []
    for statement in tree.body:
        if not isinstance(statement, nodes.Output):
            return None
        for node in statement.nodes:
            piece = node.data if isinstance(node, nodes.TemplateData) else _piece(_uncut(node) if cut else node)
            if piece is None:
                return None
            pieces.append(piece)
    parts: list[list[_Piece]] = [[]]
    if cut and _pipes_may_meet(pieces):
        return None
    for piece in pieces:
        if not isinstance(piece, str):
            parts[-1].append(piece)
            continue
        first, *others = piece.split(PIPES)
        parts[-1].append(first)
        parts.extend([other] for other in others)
    return tuple(tuple(piece for piece in part if piece != "") for part in parts)


def _pipes_may_meet(pieces: Sequence[_Piece]) -> bool:
    """Tell whether pipes of a field could join others beside it to make three, which part in legacy mode."""
    for left, right in itertools.pairwise(pieces):
        ends = not isinstance(left, str) or left.split(PIPES)[-1].endswith("|")
        starts = not isinstance(right, str) or right.split(PIPES)[0].startswith("|")
        if ends and starts:
            return True
    return False


def _uncut(node: nodes.Expr) -> nodes.Expr:
    """Return the expression inside ``| string | truncate(2048)`` of legacy mode."""
    if isinstance(node, nodes.Filter) and node.name == "truncate" and isinstance(node.node, nodes.Filter):
        inner = node.node
        if inner.name == "string" and inner.node is not None:
            return inner.node
    return nodes.Const(None)


def _piece(node: nodes.Expr) -> _Piece | None:
    if isinstance(node, nodes.Getitem) and isinstance(node.node, nodes.Name) and node.node.name == ANSWER_CHOICES:
        if isinstance(node.arg, nodes.Const) and type(node.arg.value) is int:
            return _Choice(node.arg.value)
        index = _field(node.arg)
        return _Choice(index) if index is not None else None
    return _field(node)


def _field(node: nodes.Expr) -> _Field | None:
    path: list[str | int] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            if node.attr in DICT_METHODS:
                return None
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
    return _Field(node.name, tuple(reversed(path)))


class _Maker:
    """Makes the text columns of one batch; each field is made once."""

    def __init__(self, batch: pa.Table, mode: Mode) -> None:
        self.batch = batch
        self.mode = mode
        self.choices: list[pa.StringArray] = []
        self._texts: dict[tuple[_Field, bool], pa.StringArray] = {}

    def join(self, pieces: Sequence[_Piece], cut: bool = True) -> pa.StringArray:
        """Return the pieces joined and stripped, one text a row."""
        if all(isinstance(piece, str) for piece in pieces):
            return _repeated("".join(map(str, pieces)).strip(), self.batch.num_rows)
        columns = [piece if isinstance(piece, str) else self._column(piece, cut) for piece in pieces]
        joined = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "")
        return pc.utf8_trim(joined, characters=SPACE)

    def _column(self, piece: _Field | _Choice, cut: bool) -> pa.StringArray:
        cut = cut and self.mode == "legacy"
        if isinstance(piece, _Choice):
            column = self._chosen(piece.index)
            return _cut(column) if cut else column
        if (piece, cut) not in self._texts:
            column = self._text(piece)
            self._texts[piece, cut] = _cut(column) if cut else column
        return self._texts[piece, cut]

    def _text(self, field: _Field) -> pa.StringArray:
        if field.name not in self.batch.column_names:
            if field.path:
                raise _RowByRowError
            return _repeated("", self.batch.num_rows)
        column = _one_chunk(self.batch.column(field.name))
        if field.path:
            column = _inside(column, field.path)
            texts = _written(column.values)
            texts = pc.if_else(column.defined, texts, "")
            nested = True
        else:
            texts = _written(column)
            nested = pa.types.is_nested(column.type)
        if nested and self.mode == "legacy" and pc.any(pc.match_substring(texts, "|")).as_py():
            raise _RowByRowError
        return texts

    def _chosen(self, index: int | _Field) -> pa.StringArray:
        if self.mode == "legacy" and any(pc.any(pc.match_substring(c, "|")).as_py() for c in self.choices):
            raise _RowByRowError
        number = len(self.choices)
        if isinstance(index, int):
            inside = -number <= index < number
            return self.choices[index] if inside else _repeated("", self.batch.num_rows)
        if index.path or index.name not in self.batch.column_names:
            raise _RowByRowError
        column = _one_chunk(self.batch.column(index.name))
        if not pa.types.is_integer(column.type):
            raise _RowByRowError
        column = column.cast(pa.int64())
        column = pc.if_else(pc.less(column, 0), pc.add(column, number), column)
        known = pc.and_(pc.greater_equal(column, 0), pc.less(column, number))
        column = pc.if_else(known, column, None)
        return pc.fill_null(pc.choose(column, *self.choices), "")


@dataclass(frozen=True, slots=True)
class _Values:
    """Values found inside a column, and where there were any (elsewhere Jinja writes nothing)."""

    values: pa.Array
    defined: pa.BooleanArray


def _inside(column: pa.Array, path: tuple[str | int, ...]) -> _Values:
    """Follow ``.text[0]`` into structs and lists of a column.

    A value that is not there is undefined, and so is anything inside None; following an undefined value
    further is an error of that row, which the rendering row by row reports.
    """
    defined = None
    for step in path:
        if defined is not None and not pc.all(defined).as_py():
            raise _RowByRowError
        kind = column.type
        if pa.types.is_struct(kind) and isinstance(step, str) and step in {field.name for field in kind}:
            defined = pc.is_valid(column)
            column = pc.struct_field(column, step)
        elif pa.types.is_list(kind) and isinstance(step, int) and step >= 0:
            defined = pc.fill_null(pc.greater(pc.list_value_length(column), step), False)
            positions = pc.add(column.offsets.slice(0, len(column)), step)
            column = column.values.take(pc.if_else(defined, positions, None))
        else:
            raise _RowByRowError
    return _Values(column, defined)


def _written(column: pa.Array) -> pa.StringArray:
    """Return every value as Python would print it."""
    kind = column.type
    if pa.types.is_string(kind):
        return pc.fill_null(column, "None")
    if pa.types.is_integer(kind) or pa.types.is_large_string(kind):
        return pc.fill_null(column.cast(pa.string()), "None")
    if pa.types.is_boolean(kind):
        return pc.fill_null(pc.if_else(column, "True", "False"), "None")
    return pa.array([str(value) for value in column.to_pylist()], pa.string())


def _cut(column: pa.StringArray) -> pa.StringArray:
    """Cut texts as ``truncate(2048)`` does; those of up to 2,053 characters stay whole."""
    long = pc.greater(pc.utf8_length(column), _LEGACY_LENGTH + _LEGACY_LEEWAY)
    if not pc.any(long).as_py():
        return column
    truncate: Callable[..., str] = jinja2.filters.do_truncate
    jinja = environment()
    texts = [truncate(jinja, text, _LEGACY_LENGTH) for text in column.filter(long).to_pylist()]
    return pc.replace_with_mask(column, long, pa.array(texts, pa.string()))


def _repeated(text: str, rows: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text), rows)


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _interleave(columns: Sequence[pa.StringArray]) -> pa.ListArray:
    """Return lists with one entry per column: ``[a b] [x y]`` becomes ``[[a x] [b y]]``."""
    rows, width = len(columns[0]), len(columns)
    offsets = pa.array(range(0, rows * width + 1, width), pa.int32())
    if width == 1:
        return pa.ListArray.from_arrays(offsets, columns[0])
    import numpy as np

    order = np.arange(rows * width).reshape(width, rows).T.ravel()
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(columns).take(pa.array(order)))
