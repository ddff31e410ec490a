"""Which rendered rows make examples, and why the others do not: the same for mixtures and evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.conversations.messages import REASONS
from xmtf.errors import TemplateError
from xmtf.records import FEW_CHOICES, OUTSIDE
from xmtf.tasks.prompting.blank import blank_texts
from xmtf.tasks.task import Slice
from xmtf.templates import RenderedColumns, Template
from xmtf.templates.sandbox.unfit import LABELS, NULLS, REMEDIES

__all__ = [
    "EMPTY_CHOICE",
    "EQUAL_CHOICES",
    "HELD_OUT_LANGUAGE",
    "NO_LANGUAGE",
    "OTHER_LANGUAGE",
    "OTHER_PROMPT",
    "UNKNOWN_LANGUAGE",
    "First",
    "Fitness",
    "check_share",
    "judge_rows",
    "remedy",
]

EMPTY_CHOICE = "empty answer choice"
EQUAL_CHOICES = "equal answer choices"
CHOICES = (FEW_CHOICES, EMPTY_CHOICE, EQUAL_CHOICES, OUTSIDE)

_SAMENESS_ROWS, _FEW, _SAME = 1_000, 10, 0.9
"""Rows that are compared, how many say something, and the share of equal ones that looks like a mistake."""

NOT_APPLIED = "template does not apply"

NO_LANGUAGE = "no language"
UNKNOWN_LANGUAGE = "unknown language"
OTHER_LANGUAGE = "language is not selected"
HELD_OUT_LANGUAGE = "language is held out"
OTHER_PROMPT = "prompt in another language"
ROW_LANGUAGES = (NO_LANGUAGE, UNKNOWN_LANGUAGE)
"""Reasons that say that a column of languages is none."""
_REMEDIES = REMEDIES | {
    **REASONS,
    FEW_CHOICES: "give the template two or more answer choices, or set choices: keep for the task",
    EMPTY_CHOICE: "end answer_choices without ||| and fill its columns, or set choices: keep for the task",
    EQUAL_CHOICES: "make the answer choices differ, or set choices: keep for the task",
    OUTSIDE: "use one of answer_choices as target, as {{ answer_choices[label] }} does",
    "empty inputs": "remove the row from the data, or test for it in the template",
    "empty target": "remove the row from the data, or test for it in the template",
    NO_LANGUAGE: "fill the column",
    UNKNOWN_LANGUAGE: "use ISO 639 or BCP 47 codes in the column",
    "more than one target": "separate inputs and target with a single |||",
}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class First:
    """The first row that was dropped for a reason.

    Attributes:
        row: Its number in the split.
        detail: What exactly is wrong with it, or ``""``.
    """

    row: int
    detail: str


@dataclass(slots=True)
class Fitness:
    """Which rows make examples.

    Attributes:
        mask: bool ``[rows]``.
        targets: The one target of each row, null or empty where there is none or more.
        dropped: The others, counted by reason.
        firsts: Reason -> the first such row.
        notes: What a person should know of.
    """

    mask: Mask
    targets: pa.StringArray
    dropped: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, First] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def drop(self, reason: str, rows: npt.NDArray[np.int64], detail: str = "") -> None:
        """Count rows, given by their numbers in the split, under a reason."""
        if len(rows):
            self.dropped[reason] = len(rows)
            self.firsts[reason] = First(int(rows[0]), detail)


class Drops(Protocol):
    """Rows that a template left out."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """Counted by reason."""

    @property
    def firsts(self) -> Mapping[str, First]:
        """Reason -> the first such row."""


def remedy(reason: str) -> str:
    """Return what to do about dropped rows, or ``""`` where the reason says it all."""
    return _REMEDIES.get(reason, "")


def judge_rows(
    slice_: Slice,
    template: Template,
    rendered: RenderedColumns,
    rows: npt.NDArray[np.int64],
    *,
    strict: bool,
    failing_rows: float,
) -> Fitness:
    """Describe which rows of a rendered table make examples.

    Args:
        slice_: What was rendered; its task says what nulls, labels and answer choices may be.
        template: The template.
        rendered: Its columns.
        rows: Number of each row in the split.
        strict: Whether labels and answer choices are looked at (fixed mode).
        failing_rows: Largest share of rows on which a template may fail, or that may be unfit.

    Raises:
        TemplateError: The template fails on too many rows, or drops too many; or the task calls the drop an error.
    """
    present = np.asarray(pc.is_valid(rendered.inputs))
    fitness = Fitness(present.copy(), _first_targets(rendered.targets), notes=list(rendered.notes))
    kinds = dict.fromkeys(failure.kind for failure in rendered.failures)
    for kind in kinds:
        failed = [failure for failure in rendered.failures if failure.kind == kind]
        fitness.drop(f"template fails: {kind}", np.array([each.row for each in failed]), failed[0].message)
    for unfit in rendered.unfit:
        fitness.drop(unfit.reason, unfit.rows, unfit.detail)
    if not present.all():
        failed_rows = np.array([each.row for each in rendered.failures], np.int64)
        explained = np.concatenate([failed_rows, *(each.rows for each in rendered.unfit)])
        fitness.drop(NOT_APPLIED, rows[~present & ~np.isin(rows, explained)])
    _drop_empty(fitness, rendered, rows, strict=strict)
    if strict:
        _judge_choices(fitness, slice_, template, rendered, rows)
    _note_sameness(fitness, rendered)
    check_share(fitness, slice_, template, len(rows), failing_rows)
    return fitness


def _drop_empty(fitness: Fitness, rendered: RenderedColumns, rows: npt.NDArray[np.int64], *, strict: bool) -> None:
    num_targets = np.asarray(pc.fill_null(pc.list_value_length(rendered.targets), 0))
    for reason, wrong in (
        ("more than one target", num_targets > 1),
        ("no target", num_targets == 0),
        ("empty inputs", _empty(rendered.inputs)),
        ("empty target", blank_texts(fitness.targets) if strict else _empty(fitness.targets)),
    ):
        hit = fitness.mask & wrong
        if hit.any():
            fitness.drop(reason, rows[hit])
            fitness.mask &= ~hit


def _empty(texts: pa.StringArray) -> Mask:
    mask: Mask = np.asarray(pc.fill_null(pc.binary_length(texts), 0)) == 0
    return mask


def _first_targets(lists: pa.ListArray) -> pa.StringArray:
    """Return the first value of each list, null for an empty or missing one.

    >>> _first_targets(pa.array([["a", "b"], [], None, ["c"]])).to_pylist()
    ['a', None, None, 'c']
    """
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    if pc.all(pc.equal(lengths, 1)).as_py():
        return lists.flatten()
    starts = lists.offsets.slice(0, len(lists))
    return lists.values.take(pc.if_else(pc.greater(lengths, 0), starts, pa.scalar(None, starts.type)))


def _judge_choices(
    fitness: Fitness, slice_: Slice, template: Template, rendered: RenderedColumns, rows: npt.NDArray[np.int64]
) -> None:
    """Drop examples whose answer choices cannot be ranked, or only note them where the task is no rank task."""
    if rendered.choices.null_count == len(rendered.choices):
        return
    task = slice_.task
    keeps = task.choices == "keep" or (task.choices is None and task.kind != "rank")
    fixed = template.prepared("fixed").fixed_choices
    found = _fixed_faults(fitness, fixed) if fixed is not None else _choice_faults(fitness, rendered.choices)
    for reason, wrong in found:
        hit = fitness.mask & wrong
        if keeps:
            if hit.any():
                fitness.notes.append(f"{reason} on {int(hit.sum()):,} rows, first row {rows[hit][0]}")
            continue
        if hit.any():
            fitness.drop(reason, rows[hit], _describe_choices(rendered, hit))
            fitness.mask &= ~hit


def _fixed_faults(fitness: Fitness, choices: tuple[str, ...]) -> Iterator[tuple[str, Mask]]:
    """Yield the faults of answer choices that are the same on every row."""
    everywhere = np.ones(len(fitness.mask), dtype=bool)
    if len(choices) < 2:
        yield FEW_CHOICES, everywhere
    if "" in choices:
        yield EMPTY_CHOICE, everywhere
    if len(set(choices)) < len(choices):
        yield EQUAL_CHOICES, everywhere
    among = pc.is_in(fitness.targets, value_set=pa.array(choices, pa.string()))
    yield OUTSIDE, ~np.asarray(among)


def _choice_faults(fitness: Fitness, lists: pa.ListArray) -> Iterator[tuple[str, Mask]]:
    """Yield the faults of answer choices that differ from row to row."""
    total = len(lists)
    listed = np.asarray(pc.is_valid(lists))
    flat, parents = lists.flatten(), np.asarray(pc.list_parent_indices(lists))
    yield FEW_CHOICES, listed & (np.asarray(pc.fill_null(pc.list_value_length(lists), 0)) < 2)
    yield EMPTY_CHOICE, _rows_of(parents[np.asarray(pc.equal(flat, ""))], total)
    texts = pa.concat_arrays([flat, fitness.targets])
    codes = np.asarray(pc.fill_null(texts.dictionary_encode().indices, -1), np.int64)
    of_choices, of_targets = codes[: len(flat)], codes[len(flat) :]
    keys = np.sort(parents.astype(np.int64) * (len(codes) + 1) + of_choices)
    yield EQUAL_CHOICES, _rows_of(keys[1:][keys[1:] == keys[:-1]] // (len(codes) + 1), total)
    yield OUTSIDE, listed & ~_rows_of(parents[of_choices == of_targets[parents]], total)


def _rows_of(places: Any, total: int) -> Mask:
    mask = np.zeros(total, dtype=bool)
    mask[places] = True
    return mask


def _note_sameness(fitness: Fitness, rendered: RenderedColumns) -> None:
    """Note that the inputs are nearly all the same: a template that prints the wrong field, or none."""
    places = np.flatnonzero(fitness.mask)[:_SAMENESS_ROWS]
    if len(places) < _FEW:
        return
    counts = pc.value_counts(rendered.inputs.take(pa.array(places)))
    numbers = np.asarray(counts.field("counts"))
    same = int(numbers.max())
    if same >= _SAME * len(places):
        text = _quoted(counts.field("values")[int(numbers.argmax())].as_py())
        fitness.notes.append(f"the inputs are the same on {same} of the first {len(places)} rows: {text}")


def _describe_choices(rendered: RenderedColumns, hit: Mask) -> str:
    at = int(np.flatnonzero(hit)[0])
    target = ", ".join(map(_quoted, rendered.targets[at].as_py()))
    return f"the target is {target}, the choices are {', '.join(map(_quoted, rendered.choices[at].as_py()))}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def check_share(drops: Drops, slice_: Slice, template: Template, num_rows: int, failing_rows: float) -> None:
    """Refuse a template that drops what the task calls an error, or more rows than may be dropped.

    Args:
        drops: Of the template on these rows.
        slice_: What was rendered.
        template: The template.
        num_rows: Rows that it was applied to.
        failing_rows: Largest share of rows on which a template may fail, or that may be unfit.

    Raises:
        TemplateError: It does; names the first row.
    """
    task = slice_.task
    where = f"{task.id} [{slice_.split}], template {template.name!r}"
    for policy, reasons in ((task.nulls, NULLS), (task.labels, LABELS), (task.choices, CHOICES)):
        for reason in reasons if policy == "error" else ():
            if reason in drops.dropped:
                raise TemplateError(f"{where}: {_explain(drops, reason, num_rows)}")
    faults = {
        reason: count
        for reason, count in drops.dropped.items()
        if reason.startswith("template fails")
        or reason in REMEDIES
        or reason in CHOICES
        or reason in REASONS
        or reason in ROW_LANGUAGES
    }
    if num_rows == 0 or sum(faults.values()) <= failing_rows * num_rows:
        return
    worst = max(faults, key=lambda reason: faults[reason])
    if all(reason.startswith("template fails") for reason in faults):
        first = min((drops.firsts[reason] for reason in faults), key=lambda each: each.row)
        kind = next(reason for reason in faults if drops.firsts[reason] == first).removeprefix("template fails: ")
        raise TemplateError(
            f"{where}: fails on {sum(faults.values())} of {num_rows} rows, first on row {first.row}: {kind}: "
            f"{first.detail}"
        )
    raise TemplateError(f"{where}: {_explain(drops, worst, num_rows)}; or raise mixture.failing_rows")


def _explain(drops: Drops, reason: str, num_rows: int) -> str:
    first = drops.firsts[reason]
    others = sum(drops.dropped.values()) - drops.dropped[reason]
    more = f" ({others} more are dropped for other reasons)" if others else ""
    return (
        f"{reason} on {drops.dropped[reason]} of {num_rows} rows{more}, first on row {first.row}: {first.detail}; "
        f"{remedy(reason)}"
    )
