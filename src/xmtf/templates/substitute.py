"""Render templates that only put fields between pieces of text, a column at a time.

    source   "Is {{a}} like {{b}}? ||| {{answer_choices[label]}}"     choices "No ||| Yes"
    inputs   trim(join("Is ", a, " like ", b, "? "))                  in Arrow
    targets  trim(take(["No", "Yes"], label))

A template with conditions is several such templates, each for the rows on which its conditions hold:
the rows are grouped by the way that they take, each group is joined, and the groups are put back in order.

The result is the same as row by row. Where that is not certain (a type with its own ideas of text, pipes
inside nested values in legacy mode, a label that is no whole number) the table is rendered row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.templates.render import ANSWER_CHOICES, Mode, prepare
from xmtf.templates.shape import (
    AllChoices,
    Block,
    Branch,
    Choice,
    Field,
    ListedChoices,
    Piece,
    pipes_may_meet,
    read_listed_choices,
    read_shape,
    split_parts,
)
from xmtf.templates.values import (
    RowByRowError,
    cut_texts,
    find_values,
    list_texts,
    read_index,
    slice_texts,
    test_rows,
    write_texts,
)

__all__ = ["SPACE", "Substitution", "substitution"]

SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What ``str.strip`` removes; Arrow's own trimming of white space removes other characters."""

_TEXTS = pa.list_(pa.string())
_MAX_WAYS = 32
_MAX_PIECES = 500
"""Templates with more are rendered row by row, where every row has its budget."""

Columns = tuple[pa.StringArray, pa.ListArray, pa.ListArray]


@dataclass(frozen=True, slots=True)
class Substitution:
    """How to render a template by column.

    Attributes:
        main: Shape of the source.
        choices: Shape of the answer choices, or None where there are none.
        fixed_choices: The choices where they are the same for every row.
        mode: Semantics.
        strip: Whether both sides are stripped.
    """

    main: Block
    choices: Block | ListedChoices | None
    fixed_choices: tuple[str, ...] | None
    mode: Mode
    strip: bool

    def render(self, batch: pa.Table) -> Columns | None:
        """Return inputs, targets and choices of every row, or None where it must be done row by row."""
        if ANSWER_CHOICES in batch.column_names:
            return None
        try:
            groups = self._groups(batch)
            if len(groups) == 1:
                return self._render_group(batch, groups[0])
            columns = [self._render_group(batch.take(pa.array(group.rows)), group) for group in groups]
        except (RowByRowError, pa.ArrowException):  # the latter: types that Arrow cannot bring together
            return None
        order = pa.array(np.argsort(np.concatenate([group.rows for group in groups])))
        inputs, targets, choices = (pa.concat_arrays(parts).take(order) for parts in zip(*columns, strict=True))
        return inputs, targets, choices

    def _groups(self, batch: pa.Table) -> list[_Group]:
        start = _Group(np.arange(batch.num_rows), (), None)
        if self.fixed_choices is not None:
            groups = [replace(start, choices=tuple((choice,) for choice in self.fixed_choices))]
        elif isinstance(self.choices, ListedChoices):
            groups = [replace(start, choices=self.choices)]
        elif self.choices is not None:
            groups = [_Group(group.rows, (), split_parts(group.pieces)) for group in _ways(batch, self.choices, start)]
        else:
            groups = [start]
        return [way for group in groups for way in _ways(batch, self.main, group)]

    def _render_group(self, batch: pa.Table, group: _Group) -> Columns:
        legacy = self.mode == "legacy"
        if len(group.pieces) > _MAX_PIECES or (legacy and pipes_may_meet(group.pieces)):
            raise RowByRowError
        rows = batch.num_rows
        inputs, *targets = split_parts(group.pieces)
        if not targets:
            blank = "".join if legacy and not self.strip else str.split  # what promptsource calls blank
            if any(not isinstance(piece, str) or blank(piece) for piece in inputs):
                raise RowByRowError
            return pa.nulls(rows, pa.string()), pa.nulls(rows, _TEXTS), pa.nulls(rows, _TEXTS)
        maker = _Maker(batch, legacy, group.choices)
        sides = [maker.join(pieces, cut=legacy) for pieces in (inputs, *targets)]
        sides = [trim(side) for side in sides] if self.strip else _trim_outside(sides, legacy)
        return sides[0], _interleave(sides[1:]), maker.list_choices()


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that take the same way through the conditions, and the pieces met on it."""

    rows: np.ndarray[tuple[int], np.dtype[np.int64]]
    pieces: tuple[Piece, ...]
    choices: tuple[tuple[Piece, ...], ...] | ListedChoices | None


@lru_cache(maxsize=16_384)
def substitution(jinja: str, answer_choices: str | None, mode: Mode, strip: bool = True) -> Substitution | None:
    """Return the plan of a template, or None where it does more than put fields between text."""
    prepared = prepare(jinja, answer_choices, mode)
    main = read_shape(prepared.main.tree, cut=mode == "legacy")
    choices: Block | ListedChoices | None = None
    if prepared.choices is not None and prepared.fixed_choices is None:
        tree = prepared.choices.tree
        choices = read_listed_choices(tree) or read_shape(tree, cut=False)
        if choices is None:
            return None
    if main is None or (prepared.choices is None and ANSWER_CHOICES in prepared.main.names):
        return None
    return Substitution(main, choices, prepared.fixed_choices, mode, strip)


def _ways(batch: pa.Table, block: Block, group: _Group) -> list[_Group]:
    """Return the group parted by the conditions of a block; groups without rows are left out."""
    groups = [group]
    for item in block:
        if not isinstance(item, Branch):
            groups = [replace(each, pieces=(*each.pieces, item)) for each in groups]
            continue
        parted: list[_Group] = []
        for each in groups:
            whole = len(each.rows) == batch.num_rows
            held = test_rows(batch if whole else batch.take(pa.array(each.rows)), item.test)
            mask = held.to_numpy(zero_copy_only=False)
            for rows, inner in ((each.rows[mask], item.body), (each.rows[~mask], item.otherwise)):
                if len(rows) or batch.num_rows == 0:
                    parted += _ways(batch, inner, replace(each, rows=rows))
        groups = parted
        if len(groups) > _MAX_WAYS:
            raise RowByRowError
    return groups


class _Maker:
    """Makes the text columns of one batch; each field is made once.

    Choices are a column each where there are equally many on every row, else one column of lists.
    """

    def __init__(
        self, batch: pa.Table, legacy: bool, choices: tuple[tuple[Piece, ...], ...] | ListedChoices | None
    ) -> None:
        self.batch = batch
        self.legacy = legacy
        self._texts: dict[tuple[Piece, bool], pa.StringArray] = {}
        self._listed: pa.ListArray | None = None
        self._choices: list[pa.StringArray] | None = None
        if isinstance(choices, ListedChoices):
            self._listed = self._read_listed(choices.field)
        elif choices is not None:
            self._choices = [trim(self.join(pieces, cut=False)) for pieces in choices]

    def list_choices(self) -> pa.ListArray:
        """Return the answer choices of every row."""
        if self._listed is not None:
            return self._listed
        return pa.nulls(self.batch.num_rows, _TEXTS) if self._choices is None else _interleave(self._choices)

    def join(self, pieces: Sequence[Piece], cut: bool) -> pa.StringArray:
        """Return the pieces joined, one text a row."""
        if all(isinstance(piece, str) for piece in pieces):
            return _repeated("".join(map(str, pieces)), self.batch.num_rows)
        columns = [piece if isinstance(piece, str) else self._column(piece, cut) for piece in pieces]
        return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "")

    def _column(self, piece: Field | Choice | AllChoices, cut: bool) -> pa.StringArray:
        if (piece, cut) not in self._texts:
            if isinstance(piece, Field):
                column = self._text(piece)
            else:
                column = self._chosen(piece) if isinstance(piece, Choice) else self._all_chosen(piece)
            self._texts[piece, cut] = cut_texts(column) if cut else column
        return self._texts[piece, cut]

    def _text(self, field: Field) -> pa.StringArray:
        plain = not field.path and field.cut is None and field.separator is None
        if plain and field.name not in self.batch.column_names:
            return _repeated("", self.batch.num_rows)
        found = find_values(self.batch, field)
        if field.separator is not None:
            texts = pc.binary_join(list_texts(found), field.separator)
        else:
            texts = write_texts(found if field.cut is None else slice_texts(found, *field.cut))
        if self.legacy and (not plain or field.methods or pa.types.is_nested(found.values.type)):
            self._refuse_pipes(texts)
        for method in field.methods:
            texts = pa.array([getattr(text, method)() for text in texts.to_pylist()], pa.string())
        return texts

    def _read_listed(self, field: Field) -> pa.ListArray:
        lists = list_texts(find_values(self.batch, field))
        if self.legacy:
            self._refuse_pipes(lists.values)
        if pc.any(pc.equal(pc.list_value_length(lists), 0)).as_py():
            raise RowByRowError
        return pa.ListArray.from_arrays(lists.offsets, trim(lists.values))

    def _all_chosen(self, piece: AllChoices) -> pa.StringArray:
        if self._listed is not None:
            return pc.binary_join(self._listed, piece.separator)
        return pc.binary_join_element_wise(*self._plain_choices(), piece.separator)

    def _chosen(self, piece: Choice) -> pa.StringArray:
        rows = self.batch.num_rows
        if self._listed is not None:
            number, first = pc.list_value_length(self._listed), self._listed.offsets.slice(0, rows)
        else:
            choices = self._plain_choices()
            number, first = len(choices), None
        if isinstance(piece.index, int):
            index = pa.repeat(pa.scalar(piece.index, pa.int64()), rows)
        else:
            index = read_index(find_values(self.batch, piece.index), piece.as_int, piece.offset)
        index = pc.if_else(pc.less(index, 0), pc.add(index, number), index)
        known = pc.and_(pc.greater_equal(index, 0), pc.less(index, number))
        index = pc.if_else(known, index, None)
        if self._listed is None:
            return pc.fill_null(pc.choose(index, *choices), "")
        return pc.fill_null(self._listed.values.take(pc.add(index, first)), "")

    def _plain_choices(self) -> list[pa.StringArray]:
        choices = self._choices
        if not choices:
            raise RowByRowError
        if self.legacy:
            for choice in choices:
                self._refuse_pipes(choice)
        return choices

    def _refuse_pipes(self, texts: pa.StringArray) -> None:
        """Leave values with pipes that legacy mode would part at, or not restore, to the rendering row by row."""
        if pc.any(pc.match_substring(texts, "|")).as_py():
            raise RowByRowError


def trim(column: pa.StringArray) -> pa.StringArray:
    """Return texts stripped as ``str.strip`` does."""
    return pc.utf8_trim(column, characters=SPACE)


def _trim_outside(sides: list[pa.StringArray], legacy: bool) -> list[pa.StringArray]:
    """Strip the start of the inputs and the end of the targets; of a space on both sides between, drop one."""
    if legacy and any(pc.any(pc.equal(side, "")).as_py() for side in sides):
        raise RowByRowError
    inputs, *targets = sides
    spaced = pc.ends_with(inputs, " ")
    for target in targets:
        spaced = pc.and_(spaced, pc.starts_with(target, " "))
    inputs = pc.if_else(spaced, pc.utf8_slice_codeunits(inputs, 0, -1), inputs)
    ends = [pc.utf8_rtrim(target, characters=SPACE) for target in targets]
    return [pc.utf8_ltrim(inputs, characters=SPACE), *ends]


def _repeated(text: str, rows: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text), rows)


def _interleave(columns: Sequence[pa.StringArray]) -> pa.ListArray:
    """Return lists with one entry per column: ``[a b] [x y]`` becomes ``[[a x] [b y]]``."""
    rows, width = len(columns[0]), len(columns)
    offsets = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
    if width == 1:
        return pa.ListArray.from_arrays(offsets, columns[0])
    order = np.arange(rows * width).reshape(width, rows).T.ravel()
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(columns).take(pa.array(order)))
