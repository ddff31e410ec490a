"""Apply the templates of a slice to its rows: the table that mixtures and evaluations are made of.

Every row that does not become an example is counted by reason. A template that fails on too many
rows stops the work with its name and its first failing row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError, TemplateError
from xmtf.files import content_hash
from xmtf.plugins import plugins
from xmtf.provenance import PROVENANCE_FIELDS
from xmtf.records import KIND_METRICS, MESSAGES
from xmtf.sources import SourceData, fingerprint_source
from xmtf.tasks.prompting.conversations import read_conversations
from xmtf.tasks.prompting.fitness import First, Fitness, check_share, judge_rows
from xmtf.tasks.prompting.row_languages import OfRows
from xmtf.tasks.prompting.rows import SliceRows, read_rows
from xmtf.tasks.task import Slice
from xmtf.templates import Failure, RenderedColumns, Template
from xmtf.templates.lint import Finding, lint_rendered
from xmtf.templates.rendering.counted_labels import say_counted_from_one
from xmtf.templates.rendering.fields import absent_fields

__all__ = [
    "PROMPTED_SCHEMA",
    "SCORE",
    "Mode",
    "Prompted",
    "chosen_rows",
    "fingerprint_slice",
    "prompted_parts",
    "row_order",
]

Mode = Literal["fixed", "legacy"]
"""Template semantics: with the original's known faults fixed, or to the letter."""

PROMPTED_SCHEMA = pa.schema(
    [
        ("inputs", pa.string()),
        ("targets", pa.string()),
        ("choices", pa.list_(pa.string())),
        *PROVENANCE_FIELDS,
        ("row", pa.int64()),
    ]
)
"""Types of ``records.PROMPTED_COLUMNS``; only ``choices`` may be null."""

CONVERSATION_SCHEMA = PROMPTED_SCHEMA.append(pa.field(MESSAGES, pa.string()))
"""That of slices whose rows are conversations."""

SEMANTICS = 3
"""Version of what fixed mode makes of a row; examples of another version are rendered again."""

SCORE = pa.field("score", pa.float64())
"""A further, last column of slices that are capped by a score of their rows; no mixture keeps it."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """The examples of one template of a slice.

    Attributes:
        table: Columns of :data:`PROMPTED_SCHEMA`, and :data:`SCORE` where the slice names a ``cap_score``.
        dropped: Rows that did not become an example, counted by reason; what the adapter leaves out counts where
            the whole split is read.
        failures: The rows on which the template failed.
        firsts: Reason -> the first row that was dropped for it.
        notes: What a person should know of this template on these rows.
        findings: What lint finds, where it was asked to look.
    """

    table: pa.Table
    dropped: dict[str, int]
    failures: tuple[Failure, ...]
    firsts: dict[str, First] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def prompted_parts(
    slice_: Slice,
    *,
    mode: Mode = "fixed",
    seed: int = 0,
    offline: bool = False,
    failing_rows: float = 0.5,
    data: SliceRows | None = None,
    lint: bool = False,
) -> Iterator[Prompted]:
    """Yield the examples of each template of a slice in turn, rows in the order of the split.

    Program text keeps the white space between inputs and targets, as in xP3: indentation is part of it.
    A template that reads a column that is not there is an error; promptsource's are dropped and counted instead
    (in ``legacy`` mode they are rendered with blanks, as the original does).

    Args:
        slice_: What to render.
        mode: Template semantics.
        seed: Seeds the choice of rows where the slice limits them.
        offline: Never touch the network.
        failing_rows: Largest share of rows on which a template may fail, or that may be unfit.
        data: The rows of the slice, where they are read already.
        lint: Whether to say what lint finds.

    Raises:
        SourceError: The rows cannot be read, or have no such numbers as the slice's ``cap_score``.
        TemplateError: A template fails on too many rows, or drops too many, or drops what the task calls an error;
            names the task, the template and the first row.
    """
    read = data or read_rows(slice_, offline=offline)
    chosen = chosen_rows(slice_, read.data, seed)
    left_out = read.data.dropped if len(chosen) == read.data.table.num_rows else {}
    left_out = dict(Counter(left_out) + Counter(read.dropped))
    taken = read.taken(chosen)
    table, rows = taken.data.table, taken.data.rows
    scores = _scores(slice_, table)
    for template in slice_.templates:
        of_rows = OfRows.of(slice_, template, taken)
        if read.dropped:
            check_share(read, slice_, template, read.num_read, failing_rows)
        if slice_.task.kind == "conversation":
            yield _conversations(slice_, template, taken, of_rows, left_out, failing_rows)
            continue
        absent = absent_fields(template.prepared("fixed"), table.schema) if mode == "fixed" else []
        if absent and not slice_.task.promptsource:
            where = f"{slice_.task.id} [{slice_.split}]"
            said = f", template {template.name!r}: {absent[0]}" if table.num_columns else ": has no rows"
            raise TemplateError(where + said)
        if absent:
            reason = f"template reads {absent[0].path!r}, which the rows do not have"
            dropped = dict(Counter(left_out) + Counter({reason: table.num_rows}))
            yield Prompted(_schema(slice_).empty_table(), dropped, ())
            continue
        rendered, fitness = render_rows(slice_, template, table, rows, mode=mode, failing_rows=failing_rows)
        where = f"{slice_.task.id} [{slice_.split}]"
        of_rows.judge(fitness, rows)
        yield Prompted(
            _columns(slice_, of_rows, rendered, rows, fitness, scores),
            dict(Counter(left_out) + Counter(fitness.dropped)),
            rendered.failures,
            read.firsts | fitness.firsts,
            tuple(fitness.notes),
            tuple(lint_rendered(template, rendered, table.column_names, where)) if lint else (),
        )


def render_rows(
    slice_: Slice, template: Template, table: pa.Table, rows: np.ndarray, *, mode: Mode, failing_rows: float
) -> tuple[RenderedColumns, Fitness]:
    """Render rows under one template of a slice, and say which of them make examples.

    Args:
        slice_: What the rows belong to.
        template: The template.
        table: The rows.
        rows: Number of each row in the split.
        mode: Template semantics.
        failing_rows: As in :func:`prompted_parts`.

    Raises:
        TemplateError: As :func:`prompted_parts`.
    """
    task = slice_.task
    try:
        rendered = template.render_table(
            table,
            dataset=task.dataset,
            subset=task.subset,
            split=slice_.split,
            rows=rows.tolist(),
            mode=mode,
            nulls="empty" if task.nulls == "empty" else "drop",
            strip=not task.is_program,
        )
    except TemplateError as error:
        own_file = task.source(slice_.split).path
        where = f"{task.id} [{slice_.split}]" + (f" ({own_file})" if own_file else "")
        raise TemplateError(f"{where}: {error}") from None
    counted = say_counted_from_one(template.prepared("fixed"), rendered, table) if mode == "fixed" else None
    if counted is not None:
        raise TemplateError(f"{task.id} [{slice_.split}], template {template.name!r}: {counted}")
    return rendered, judge_rows(slice_, template, rendered, rows, strict=mode == "fixed", failing_rows=failing_rows)


def _plugin_signatures(metrics: Sequence[str]) -> list[str]:
    """Return the packages of those metrics that plug-ins bring: another version may judge otherwise."""
    ours = frozenset((*KIND_METRICS["generation"], "accuracy"))
    theirs = plugins("metrics", ours)
    return [theirs[name].signature for name in metrics if name in theirs]


def fingerprint_slice(
    slice_: Slice, *, mode: Mode = "fixed", seed: int = 0, offline: bool = False, judged: bool = False
) -> str:
    """Return a hash of everything that the examples of a slice depend on; nothing is rendered.

    With ``judged`` also of what answers to them are judged by.

    Raises:
        SourceError: The source is nowhere.
    """
    source = fingerprint_source(slice_.task.source(slice_.split), offline=offline)
    task = slice_.task
    about: list[object] = [
        task.id,
        task.cluster,
        task.dataset,
        task.subset,
        task.language,
        slice_.split,
        slice_.limit_rows,
    ]
    if slice_.cap_score is not None:
        about.append(slice_.cap_score)
    if judged:
        about += [task.kind, *task.metrics, *_plugin_signatures(task.metrics)]
    if mode == "fixed":
        about += [SEMANTICS, task.nulls, task.labels, task.choices or task.kind]
    names = [
        (template.name, template.language, template.translation, template.hash, *filter(None, [template.told_by]))
        for template in slice_.templates
    ]
    if task.parallel:
        about.append({"parallel": task.parallel})
    if task.where or slice_.where:
        about.append({"where": [task.where, *slice_.where]})
    if slice_.row_languages is not None:
        about.append({"languages": [task.language_column, asdict(slice_.row_languages)]})
    if slice_.limit_rows is not None and slice_.turn != (0, 1):
        about.append({"turn": slice_.turn})
    choice = None if slice_.limit_rows is None else [_ROWS_CHOSEN, seed]
    return content_hash([about, names, source, mode, choice])


_ROWS_CHOSEN = "nested"
"""How rows are chosen; another way gives another fingerprint."""


def chosen_rows(slice_: Slice, data: SourceData, seed: int) -> np.ndarray:
    """Return which rows of a split a slice reads, as places in its table, ascending."""
    return sample_rows(data.rows, slice_.limit_rows, row_draw(slice_, seed))


class RowDraw(NamedTuple):
    """What the choice of the rows that a slice reads depends on.

    Attributes:
        key: Seeds the choice.
        turn: (place, number) of those that share a key and are to take different rows.
    """

    key: str
    turn: tuple[int, int] = (0, 1)


def row_draw(slice_: Slice, seed: int) -> RowDraw:
    """Return how the rows that a slice reads are chosen."""
    return RowDraw(f"{seed} {slice_.task.parallel or slice_.task.id} {slice_.split}", slice_.turn)


def sample_rows(rows: np.ndarray, limit: int | None, draw: RowDraw) -> np.ndarray:
    """Return the places of the rows that are read, ascending: all of them, or a choice that ``draw`` seeds.

    Each row has a number that depends on the key and on its place in the split alone, and the smallest are taken. So a
    larger choice holds the smaller one, and languages of a parallel set, which share a key, are asked the same rows;
    or, where they take turns, each begins to count at a place of its own on the circle of these numbers, so that
    together they take as many different rows as they can.

    >>> sample_rows(np.arange(3), None, RowDraw("")).tolist()
    [0, 1, 2]
    >>> few, more = (set(sample_rows(np.arange(1000), limit, RowDraw("42 xnli")).tolist()) for limit in (10, 20))
    >>> len(few), len(more), few < more
    (10, 20, True)

    Args:
        rows: Number of each row in its split, ``[rows]``.
        limit: Most rows that are read, or None for all.
        draw: Seeds the choice.
    """
    if limit is None or limit >= len(rows):
        return np.arange(len(rows), dtype=np.int64)
    return np.sort(row_order(rows, draw)[:limit])


def row_order(rows: np.ndarray, draw: RowDraw) -> np.ndarray:
    """Return the places of rows in the order in which :func:`sample_rows` takes them, int64 ``[rows]``."""
    seed = np.uint64(int.from_bytes(hashlib.sha256(draw.key.encode()).digest()[:8], "big"))
    place, number = draw.turn
    begin = np.uint64((place << 64) // number)
    return np.argsort(_mixed(rows.astype(np.uint64) ^ seed) - begin, kind="stable").astype(np.int64)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Return uint64 numbers that look drawn at random and depend on each number alone (SplitMix64's finalizer)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _conversations(
    slice_: Slice,
    template: Template,
    taken: SliceRows,
    languages: OfRows,
    left_out: dict[str, int],
    failing_rows: float,
) -> Prompted:
    """Return the conversations of a slice whose rows are messages, as :func:`prompted_parts`.

    Inputs and targets are all turns but the last answer, and that answer, as plain text.
    """
    table = taken.data.table
    found = read_conversations(table, taken.data.rows, f"{slice_.task.id} [{slice_.split}]")
    check_share(found, slice_, template, table.num_rows, failing_rows)
    of_rows = {
        "inputs": found.inputs,
        "targets": found.targets,
        "choices": pa.nulls(len(found.rows), pa.list_(pa.string())),
        "row": pa.array(found.rows),
        MESSAGES: found.messages,
    }
    schema = CONVERSATION_SCHEMA
    if (scores := _scores(slice_, table)) is not None:
        of_rows[SCORE.name] = scores.take(pa.array(found.places))
        schema = schema.append(SCORE)
    columns = of_rows | languages.columns(len(found.rows), found.places)
    dropped = dict(Counter(left_out) + Counter(found.dropped))
    return Prompted(
        pa.table([columns[name] for name in schema.names], schema=schema),
        dropped,
        (),
        taken.firsts | found.firsts,
        found.notes,
    )


def _schema(slice_: Slice) -> pa.Schema:
    return PROMPTED_SCHEMA if slice_.cap_score is None else PROMPTED_SCHEMA.append(SCORE)


def _scores(slice_: Slice, table: pa.Table) -> pa.Array | None:
    """Return the numbers that the slice is capped by, [rows] float64, null where a row has none.

    Raises:
        SourceError: There is no such column, or it does not hold numbers.
    """
    name = slice_.cap_score
    if name is None:
        return None
    where = f"{slice_.task.id} [{slice_.split}]: cap_score {name!r}"
    if name not in table.column_names:
        raise SourceError(f"{where} is not a column of its rows; there are {', '.join(sorted(table.column_names))}")
    column = table.column(name).combine_chunks()
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise SourceError(f"{where} is of type {column.type}; give a column of numbers")
    return column.cast(SCORE.type)


def _columns(
    slice_: Slice,
    languages: OfRows,
    rendered: RenderedColumns,
    rows: np.ndarray,
    fitness: Fitness,
    scores: pa.Array | None,
) -> pa.Table:
    of_rows = {
        "inputs": rendered.inputs,
        "targets": fitness.targets,
        "choices": rendered.choices,
        "row": pa.array(rows),
    }
    if scores is not None:
        of_rows[SCORE.name] = scores
    if not fitness.mask.all():
        mask = pa.array(fitness.mask)
        of_rows = {name: column.filter(mask) for name, column in of_rows.items()}
    places = None if fitness.mask.all() else np.flatnonzero(fitness.mask)
    columns = of_rows | languages.columns(len(of_rows["row"]), places)
    schema = _schema(slice_)
    return pa.table([columns[name] for name in schema.names], schema=schema)
