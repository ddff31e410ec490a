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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.templates.rendering.render import ANSWER_CHOICES, Mode, prepare
from xmtf.templates.rendering.shape import (
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
from xmtf.templates.rendering.values import (
    RowByRowError,
    cut_texts,
    find_values,
    list_texts,
    read_index,
    slice_texts,
    test_rows,
    write_texts,
)
from xmtf.templates.sandbox.unfit import (
    LABEL_NEGATIVE,
    LABEL_RANGE,
    NULL_CHOICE,
    NULL_INPUTS,
    NULL_LABEL,
    NULL_TARGET,
    Nulls,
    Unfit,
    describe_label,
)

__all__ = ["SPACE", "Substitution", "substitution"]

SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What ``str.strip`` removes; Arrow's own trimming of white space removes other characters."""

_TEXTS = pa.list_(pa.string())
_MAX_WAYS = 32
_FEW = 500
"""Fewer texts are stripped quicker than looked at."""
_MAX_PIECES = 500
"""Templates with more are rendered row by row, where every row has its budget."""


@dataclass(frozen=True, slots=True)
class Substituted:
    """What a batch became; the columns are those of :class:`xmtf.templates.rendering.columns.RenderedColumns`.

    Attributes:
        inputs: The inputs.
        targets: The targets.
        choices: The answer choices.
        unfit: Unfit rows, by their places in the batch.
    """

    inputs: pa.StringArray
    targets: pa.ListArray
    choices: pa.ListArray
    unfit: tuple[Unfit, ...] = ()


@dataclass(frozen=True, slots=True)
class Substitution:
    """How to render a template by column.

    Attributes:
        main: Shape of the source.
        choices: Shape of the answer choices, or None where there are none.
        fixed_choices: The choices where they are the same for every row.
        mode: Semantics.
        strip: Whether both sides are stripped.
        nulls: What a null becomes that is printed.
    """

    main: Block
    choices: Block | ListedChoices | None
    fixed_choices: tuple[str, ...] | None
    mode: Mode
    strip: bool
    nulls: Nulls

    def render(self, batch: pa.Table) -> Substituted | None:
        """Return inputs, targets and choices of every row, or None where it must be done row by row."""
        if ANSWER_CHOICES in batch.column_names:
            return None
        try:
            groups = self._groups(batch)
            if len(groups) == 1:
                return self._render_group(batch, groups[0])
            parts = [self._render_group(batch.take(pa.array(group.rows)), group) for group in groups]
        except (RowByRowError, pa.ArrowException):  # the latter: types that Arrow cannot bring together
            return None
        order = pa.array(np.argsort(np.concatenate([group.rows for group in groups])))
        return Substituted(
            pa.concat_arrays([part.inputs for part in parts]).take(order),
            pa.concat_arrays([part.targets for part in parts]).take(order),
            pa.concat_arrays([part.choices for part in parts]).take(order),
            _joined_unfit(parts, groups),
        )

    @property
    def is_straight(self) -> bool:
        """Whether all rows take the same way: nothing is taken apart and put back in order."""
        return self.choices is None and not any(isinstance(item, Branch) for item in self.main)

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

    def _render_group(self, batch: pa.Table, group: _Group) -> Substituted:
        legacy = self.mode == "legacy"
        if len(group.pieces) > _MAX_PIECES or (legacy and pipes_may_meet(group.pieces)):
            raise RowByRowError
        rows = batch.num_rows
        inputs, *targets = split_parts(group.pieces)
        if not targets:
            blank = "".join if legacy and not self.strip else str.split  # what promptsource calls blank
            if any(not isinstance(piece, str) or blank(piece) for piece in inputs):
                raise RowByRowError
            return Substituted(pa.nulls(rows, pa.string()), pa.nulls(rows, _TEXTS), pa.nulls(rows, _TEXTS))
        if self.strip:
            inputs, *targets = map(_stripped, (inputs, *targets))
        maker = _Maker(batch, self.nulls, group.choices)
        sides = [maker.join(inputs, NULL_INPUTS, cut=legacy)]
        sides += [maker.join(pieces, NULL_TARGET, cut=legacy) for pieces in targets]
        sides = [trim(side) for side in sides] if self.strip else _trim_outside(sides, legacy)
        return maker.without_unfit(sides[0], _interleave(sides[1:]), maker.list_choices())


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows that take the same way through the conditions, and the pieces met on it."""

    rows: np.ndarray[tuple[int], np.dtype[np.int64]]
    pieces: tuple[Piece, ...]
    choices: tuple[tuple[Piece, ...], ...] | ListedChoices | None


@lru_cache(maxsize=16_384)
def substitution(
    jinja: str, answer_choices: str | None, mode: Mode, strip: bool = True, nulls: Nulls = "drop"
) -> Substitution | None:
    """Return the plan of a template, or None where it does more than put fields between text."""
    prepared = prepare(jinja, answer_choices, mode, nulls)
    main = read_shape(prepared.main.tree, cut=mode == "legacy")
    choices: Block | ListedChoices | None = None
    if prepared.choices is not None and prepared.fixed_choices is None:
        tree = prepared.choices.tree
        choices = read_listed_choices(tree) or read_shape(tree, cut=False)
        if choices is None:
            return None
    if main is None or (prepared.choices is None and ANSWER_CHOICES in prepared.main.names):
        return None
    return Substitution(main, choices, prepared.fixed_choices, mode, strip, prepared.nulls)


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

    Choices are a column each where there are equally many on every row, else one column of lists. Rows are unfit for
    the first reason met, in the order in which rendering row by row meets them: choices, inputs, targets.
    """

    def __init__(
        self, batch: pa.Table, nulls: Nulls, choices: tuple[tuple[Piece, ...], ...] | ListedChoices | None
    ) -> None:
        self.batch = batch
        self.nulls = nulls
        self.legacy = nulls == "print"
        self._unfit: list[_Fault] = []
        self._texts: dict[tuple[Piece, bool], pa.StringArray] = {}
        self._listed: pa.ListArray | None = None
        self._choices: list[pa.StringArray] | None = None
        if isinstance(choices, ListedChoices):
            self._listed = self._read_listed(choices.field)
        elif choices is not None:
            self._choices = [trim(self.join(pieces, NULL_CHOICE, cut=False)) for pieces in choices]

    def list_choices(self) -> pa.ListArray:
        """Return the answer choices of every row."""
        if self._listed is not None:
            return self._listed
        return pa.nulls(self.batch.num_rows, _TEXTS) if self._choices is None else _interleave(self._choices)

    def without_unfit(self, inputs: pa.StringArray, targets: pa.ListArray, choices: pa.ListArray) -> Substituted:
        """Return the columns with nulls for unfit rows."""
        taken = np.zeros(self.batch.num_rows, dtype=bool)
        unfit = []
        for fault in self._unfit:
            rows = np.flatnonzero(fault.mask & ~taken)
            taken |= fault.mask
            if len(rows):
                unfit.append(Unfit(fault.reason, rows, fault.describe(int(rows[0]))))
        if not unfit:
            return Substituted(inputs, targets, choices)
        kept = pa.array(~taken)
        inputs, targets, choices = (
            pc.if_else(kept, column, pa.scalar(None, column.type)) for column in (inputs, targets, choices)
        )
        return Substituted(inputs, targets, choices, tuple(unfit))

    def join(self, pieces: Sequence[Piece], reason: str, cut: bool) -> pa.StringArray:
        """Return the pieces joined, one text per row; ``reason`` is that of a null among them."""
        if all(isinstance(piece, str) for piece in pieces):
            return _repeated("".join(map(str, pieces)), self.batch.num_rows)
        columns = [piece if isinstance(piece, str) else self._column(piece, reason, cut) for piece in pieces]
        return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "")

    def _column(self, piece: Field | Choice | AllChoices, reason: str, cut: bool) -> pa.StringArray:
        if (piece, cut) not in self._texts:
            if isinstance(piece, Field):
                column = self._without_nulls(piece, self._text(piece), reason)
            else:
                column = self._chosen(piece) if isinstance(piece, Choice) else self._all_chosen(piece)
            self._texts[piece, cut] = cut_texts(column) if cut else column
        return self._texts[piece, cut]

    def _without_nulls(self, field: Field, texts: pa.StringArray, reason: str) -> pa.StringArray:
        """Note rows whose text is null, or print nothing for them."""
        if not texts.null_count:
            return texts
        if self.nulls == "empty":
            return pc.fill_null(texts, "")
        label = repr(".".join(map(str, (field.name, *field.path))))
        self._unfit.append(_Fault(reason, np.asarray(texts.is_null()), f"{label} is null"))
        return texts

    def _text(self, field: Field) -> pa.StringArray:
        plain = not field.path and field.cut is None and field.separator is None
        if plain and field.name not in self.batch.column_names:
            return _repeated("" if self.legacy else None, self.batch.num_rows)
        found = find_values(self.batch, field)
        if field.separator is not None:
            texts = pc.binary_join(list_texts(found), field.separator)
        else:
            found = found if field.cut is None else slice_texts(found, *field.cut, prints_nulls=self.legacy)
            texts = write_texts(found, prints_nulls=self.legacy)
        if self.legacy and (not plain or field.methods or pa.types.is_nested(found.values.type)):
            self._refuse_pipes(texts)
        for method in field.methods:
            made = [None if text is None else getattr(text, method)() for text in texts.to_pylist()]
            texts = pa.array(made, pa.string())
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
            found = find_values(self.batch, piece.index)
            index = read_index(found, piece.as_int, piece.offset, prints_nulls=self.legacy)
            self._check_labels(index, number)
        index = pc.if_else(pc.less(index, 0), pc.add(index, number), index)
        known = pc.and_(pc.greater_equal(index, 0), pc.less(index, number))
        if not self.legacy and isinstance(piece.index, int) and not pc.all(known).as_py():
            raise RowByRowError
        index = pc.if_else(known, index, None)
        if self._listed is None:
            return pc.fill_null(pc.choose(index, *choices), "")
        return pc.fill_null(self._listed.values.take(pc.add(index, first)), "")

    def _check_labels(self, index: pa.Int64Array, number: int | pa.Array) -> None:
        """Note the rows whose label picks no answer choice."""
        if self.legacy:
            return

        def describe(row: int) -> str:
            return describe_label(index[row].as_py(), number if isinstance(number, int) else number[row].as_py())

        if index.null_count:
            self._unfit.append(_Fault(NULL_LABEL, np.asarray(index.is_null()), "the label is null"))
        for reason, wrong in ((LABEL_NEGATIVE, pc.less(index, 0)), (LABEL_RANGE, pc.greater_equal(index, number))):
            if pc.any(wrong).as_py():
                self._unfit.append(_Fault(reason, np.asarray(pc.fill_null(wrong, False)), describe))

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


@dataclass(frozen=True, slots=True, eq=False)
class _Fault:
    """Rows of a batch, bool ``[n]``, that are unfit for a reason, and what is wrong with one of them."""

    reason: str
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]]
    detail: str | Callable[[int], str]

    def describe(self, row: int) -> str:
        return self.detail if isinstance(self.detail, str) else self.detail(row)


def _joined_unfit(parts: list[Substituted], groups: list[_Group]) -> tuple[Unfit, ...]:
    """Return the unfit rows of all groups by their places in the batch, once for each reason."""
    found: dict[str, list[Unfit]] = {}
    for part, group in zip(parts, groups, strict=True):
        for each in part.unfit:
            found.setdefault(each.reason, []).append(Unfit(each.reason, group.rows[each.rows], each.detail))
    return tuple(
        Unfit(
            reason,
            np.sort(np.concatenate([each.rows for each in same])),
            min(same, key=lambda each: int(each.rows[0])).detail,
        )
        for reason, same in found.items()
    )


def _stripped(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Return pieces without the white space outside all fields, so that only texts of fields are left to strip."""
    kept = list(pieces)
    while kept and isinstance(kept[0], str) and not kept[0].strip(SPACE):
        del kept[0]
    while kept and isinstance(kept[-1], str) and not kept[-1].strip(SPACE):
        del kept[-1]
    if kept and isinstance(first := kept[0], str):
        kept[0] = first.lstrip(SPACE)
    if kept and isinstance(last := kept[-1], str):
        kept[-1] = last.rstrip(SPACE)
    return tuple(kept)


def trim(column: pa.StringArray) -> pa.StringArray:
    """Return texts stripped as ``str.strip`` does."""
    if len(column) < _FEW or _may_have_outer_space(column):
        return pc.utf8_trim(column, characters=SPACE)
    return column


_FIRST_BYTES, _LAST_BYTES = np.zeros(256, bool), np.zeros(256, bool)
for _space in SPACE:
    _FIRST_BYTES[_space.encode()[0]] = _LAST_BYTES[_space.encode()[-1]] = True


def _may_have_outer_space(column: pa.StringArray) -> bool:
    """Return whether the first or the last byte of a text may be one of white space."""
    _, offsets, data = column.buffers()
    if data is None:
        return False
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    full = places[1:] > places[:-1]
    text = np.frombuffer(data, np.uint8)
    firsts, lasts = text[places[:-1][full]], text[places[1:][full] - 1]
    return bool(_FIRST_BYTES[firsts].any() or _LAST_BYTES[lasts].any())


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


def _repeated(text: str | None, rows: int) -> pa.StringArray:
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def _interleave(columns: Sequence[pa.StringArray]) -> pa.ListArray:
    """Return lists with one entry per column: ``[a b] [x y]`` becomes ``[[a x] [b y]]``."""
    rows, width = len(columns[0]), len(columns)
    offsets = pa.array(np.arange(0, rows * width + 1, width, dtype=np.int32))
    if width == 1:
        return pa.ListArray.from_arrays(offsets, columns[0])
    order = np.arange(rows * width).reshape(width, rows).T.ravel()
    return pa.ListArray.from_arrays(offsets, pa.concat_arrays(columns).take(pa.array(order)))
