"""Render a whole table: Arrow columns in, Arrow columns out.

Most templates only put fields between pieces of text. Those are joined column by column in Arrow
(:mod:`xmtf.templates.rendering.substitute`), without one Python object a row. All others are rendered row by row,
with only the columns they read converted to Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from xmtf.errors import TemplateError
from xmtf.templates.rendering.compile import FAULTS
from xmtf.templates.rendering.readable import readable_column
from xmtf.templates.rendering.render import Mode, Prepared, Rendered
from xmtf.templates.rendering.substitute import Substitution, substitution
from xmtf.templates.sandbox.limits import LimitError
from xmtf.templates.sandbox.unfit import SEMANTICS, Nulls, Unfit, UnfitRowError

__all__ = ["Failure", "RenderedColumns", "render_table"]

BATCH_ROWS = 8_192
"""Rows rendered at a time: bounds the memory of Python objects and keeps columns in the processor's cache."""
_WHOLE_BYTES = 2**26
"""Larger tables are never rendered at once."""
MAX_EXHAUSTED = 3
"""Rows that may run out of their budget before the rest of the table is not tried any more."""

MAX_CHARACTERS = 2**31
"""Characters that one call may render; a column of texts holds no more bytes."""

_TOO_MUCH = "one column of texts can hold (2 GB); render fewer rows at a time"

_INEXACT = b"xmtf.inexact"
"""Mark of :mod:`xmtf.sources.exact`, which is next to this room."""

TEXTS = pa.list_(pa.string())


class Renderable(Protocol):
    """What rendering reads of a :class:`xmtf.templates.template.Template`."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def jinja(self) -> str:
        """Source of inputs and targets."""

    @property
    def answer_choices(self) -> str | None:
        """Source of the choices."""

    def prepared(self, mode: Mode, nulls: Nulls) -> Prepared:
        """Return it compiled."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that a template failed on.

    Attributes:
        row: Index of the row in its split.
        kind: Name of the error, such as ``UndefinedError``, for counting.
        message: What went wrong.
    """

    row: int
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class RenderedColumns:
    """A table after a template was applied; as many entries as rows.

    Attributes:
        inputs: string; null where the template does not apply to the row, failed on it, or the row is unfit.
        targets: list<string>; null where inputs are.
        choices: list<string>; null where the template has no answer choices, or inputs are null.
        failures: Rows that failed, in order.
        unfit: Rows that are unfit, once for each reason.
        notes: What was met that a person should know of, sorted.
    """

    inputs: pa.StringArray
    targets: pa.ListArray
    choices: pa.ListArray
    failures: tuple[Failure, ...]
    unfit: tuple[Unfit, ...] = ()
    notes: tuple[str, ...] = ()


def render_table(
    template: Renderable,
    table: pa.Table,
    place: tuple[str, str, str],
    rows: Sequence[int],
    *,
    mode: Mode,
    nulls: Nulls,
    strip: bool,
) -> RenderedColumns:
    """Render every row of a table; see :meth:`Template.render_table`. ``place`` is its dataset, subset and split.

    Raises:
        TemplateError: The template does not compile, reads a column of bytes, or all its text does not fit one column
            (2 GB).
    """
    prepared = template.prepared(mode, nulls)
    table = _read_columns(template.name, table, prepared)
    plan = substitution(template.jinja, template.answer_choices, mode, strip, nulls)
    if plan is not None and plan.is_straight and table.nbytes <= _WHOLE_BYTES:
        whole = _substitute(plan, table, rows)
        if whole is not None:
            return whole
    batches = []
    exhausted = 0
    for start in range(0, max(1, table.num_rows), BATCH_ROWS):
        batch = table.slice(start, BATCH_ROWS)
        numbers = rows[start : start + BATCH_ROWS]
        rendered = _substitute(plan, batch, numbers) if plan is not None else None
        if rendered is None:
            rendered = _row_by_row(template.name, prepared, batch, place, numbers, strip, exhausted)
            exhausted += sum(failure.kind == LimitError.__name__ for failure in rendered.failures)
        batches.append(rendered)
    try:
        return _concat(batches)
    except pa.ArrowInvalid as error:
        much = f"renders {table.num_rows:,} rows to more than {_TOO_MUCH}"
        raise TemplateError(f"template {template.name!r}: {much}") from error


def _read_columns(name: str, table: pa.Table, prepared: Prepared) -> pa.Table:
    """Return the columns that the template reads, ``-`` in their names as ``_``.

    In legacy mode a later column of one name wins.

    Raises:
        TemplateError: One of them holds bytes, or two have one name then.
    """
    columns = {name.replace("-", "_"): table.column(index) for index, name in enumerate(table.column_names)}
    wanted = prepared.readable | {"answer_choices"}
    exact = prepared.mode == "fixed"
    try:
        chosen = {each: readable_column(columns[each], each, exact) for each in columns if each in wanted}
        if exact:
            _check_names(table.column_names, wanted)
            _check_exact(table.schema, wanted)
    except TemplateError as error:
        raise TemplateError(f"template {name!r}: {error}") from None
    if chosen:
        return pa.table(chosen)
    return pa.table({"": pa.nulls(table.num_rows)})


def _check_names(names: Sequence[str], wanted: frozenset[str]) -> None:
    """Refuse columns of which a template could mean either, as it writes ``-`` as ``_``.

    Raises:
        TemplateError: The template reads them.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(name.replace("-", "_"), name)
        if other != name and name.replace("-", "_") in wanted:
            raise TemplateError(
                f"the columns {other!r} and {name!r} have the same name in templates; rename one of them"
            )


def _check_exact(schema: pa.Schema, wanted: frozenset[str]) -> None:
    """Refuse columns whose whole numbers became decimals when they were read: 1 would be printed as 1.0.

    Raises:
        TemplateError: The template reads one.
    """
    for field in schema:
        found = (field.metadata or {}).get(_INEXACT)
        if found is not None and field.name.replace("-", "_") in wanted:
            raise TemplateError(
                f"the column {field.name!r} has whole numbers among decimals ({found.decode()}), which would print "
                f"1 as 1.0; write all of them with a decimal point, or as text"
            )


def _substitute(plan: Substitution, batch: pa.Table, rows: Sequence[int]) -> RenderedColumns | None:
    found = plan.render(batch)
    if found is None:
        return None
    numbers = np.asarray(rows, np.int64)
    unfit = tuple(Unfit(each.reason, numbers[each.rows], each.detail) for each in found.unfit)
    return RenderedColumns(found.inputs, found.targets, found.choices, (), unfit)


def _row_by_row(
    name: str,
    prepared: Prepared,
    batch: pa.Table,
    place: tuple[str, str, str],
    rows: Sequence[int],
    strip: bool,
    exhausted: int,
) -> RenderedColumns:
    results: list[Rendered | None] = []
    failures: list[Failure] = []
    unfit: dict[str, tuple[list[int], str]] = {}
    characters = 0
    SEMANTICS.notes.clear()
    for values, row in zip(_values(name, batch), rows, strict=True):
        if exhausted >= MAX_EXHAUSTED:
            failures.append(Failure(row, LimitError.__name__, f"not tried: {exhausted} rows exceeded their budget"))
            results.append(None)
            continue
        try:
            rendered = prepared.render(values, (*place, name, row), strip=strip)
            results.append(rendered)
            characters += len(rendered.inputs) + sum(map(len, rendered.targets)) if rendered else 0
        except UnfitRowError as error:
            unfit.setdefault(error.reason, ([], error.detail))[0].append(row)
            results.append(None)
        except MemoryError:
            raise  # of the machine: on another one the row would be there
        except FAULTS as error:
            exhausted += isinstance(error, LimitError)
            failures.append(Failure(row, type(error).__name__, " ".join(str(error).split())[:300]))
            results.append(None)
        if characters > MAX_CHARACTERS:
            raise TemplateError(f"template {name!r}: renders {len(results):,} rows to more than {_TOO_MUCH}")
    return RenderedColumns(
        pa.array([None if r is None else r.inputs for r in results], pa.string()),
        pa.array([None if r is None else r.targets for r in results], TEXTS),
        pa.array([None if r is None else r.answer_choices for r in results], TEXTS),
        tuple(failures),
        tuple(Unfit(reason, np.array(found, np.int64), detail) for reason, (found, detail) in unfit.items()),
        tuple(sorted(SEMANTICS.notes)),
    )


def _values(template: str, batch: pa.Table) -> Iterator[dict[str, object]]:
    names = [name for name in batch.column_names if name]
    if not names:
        return ({} for _ in range(batch.num_rows))
    columns = [_python_values(batch.column(name), f"template {template!r}: the column {name!r}") for name in names]
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _python_values(column: pa.ChunkedArray, where: str) -> list[object]:
    try:
        values: list[object] = column.to_pylist(maps_as_pydicts="strict")
    except KeyError as error:
        key = str(error.args[0]).rpartition("was ")[2].rstrip(").")
        raise TemplateError(f"{where} contains a mapping with the key {key} twice; remove one of them") from None
    return values


def _concat(batches: list[RenderedColumns]) -> RenderedColumns:
    if len(batches) == 1:
        return batches[0]
    return RenderedColumns(
        pa.concat_arrays([batch.inputs for batch in batches]),
        pa.concat_arrays([batch.targets for batch in batches]),
        pa.concat_arrays([batch.choices for batch in batches]),
        tuple(failure for batch in batches for failure in batch.failures),
        _joined_unfit([each for batch in batches for each in batch.unfit]),
        tuple(sorted({note for batch in batches for note in batch.notes})),
    )


def _joined_unfit(found: list[Unfit]) -> tuple[Unfit, ...]:
    """Return the unfit rows of all batches, once for each reason; the first row's detail stays."""
    by_reason: dict[str, list[Unfit]] = {}
    for each in found:
        by_reason.setdefault(each.reason, []).append(each)
    return tuple(
        Unfit(reason, np.concatenate([each.rows for each in same]), same[0].detail)
        for reason, same in by_reason.items()
    )
