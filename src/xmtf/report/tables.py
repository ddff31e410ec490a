"""Tables of a run, each as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from xmtf.files import csv_cell, write_text
from xmtf.languages.codes import get_language
from xmtf.records import in_percent
from xmtf.report.chosen import chosen_prompts
from xmtf.report.collect import Run
from xmtf.report.comparison.beside import Beside
from xmtf.report.comparison.compare import Comparison, compared, verdict
from xmtf.report.comparison.language_groups import language_group
from xmtf.report.comparison.results import Results
from xmtf.results.estimates import Estimate
from xmtf.run_folder import LABELS

__all__ = [
    "CUT_FLAG",
    "DETAILS",
    "GROUPS",
    "TEXT",
    "Format",
    "Table",
    "composition_table",
    "composition_tables",
    "language_groups",
    "published_numbers",
    "render_table",
    "result_tables",
    "results_table",
    "write_tables",
]

Format = Literal["csv", "md", "tex"]

CUT_FLAG = 0.05
"""Share of cut answers or prompts from which tables raise a flag."""
TEXT = frozenset({"suite", "held out", "metric", "cut", "reading"})
"""Columns of result tables that hold words; all others but the group hold numbers."""
_PARTS = ("clean", "seen", "clean items", "seen items")
DETAILS = ("macro-F1", "calibrated", "recall", "picks", "ties", "in language", *_PARTS)
"""Columns of what is next to the values: one figure per model, in the order of their columns, with ``/`` between. Those
that nothing is known of are left out."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people.

    Attributes:
        name: File name without ending.
        title: Caption.
        columns: Headings.
        rows: Cells as text, one tuple per row.
        numeric: Which columns hold numbers, for alignment.
        notes: Sentences under the table: how values were computed, what is missing.
        bold: (row, column) of cells that stand out, such as the best of a group.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    notes: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()


def composition_tables(run: Run) -> list[Table]:
    """Return what the mixture of a run is made of; nothing where the run has none."""
    return [composition_table(run, by) for by in ("cluster", "language")] if run.composition.num_rows else []


GROUPS: dict[str, str] = {
    "results": "",
    "results-by-cluster": "cluster",
    "results-by-task": "task",
    "results-by-language": "language",
    "results-by-template": "template",
}
"""Name of a table of results -> what it groups by inside each suite."""


def result_tables(results: Results) -> list[Table]:
    """Return what was measured, suite by suite and by ever finer groups."""
    if not results.scores:
        return []
    whole = "Before and after finetuning" if set(results.scores) <= set(LABELS) else "Results"
    return (
        [
            results_table(name, f"By {column}" if column else whole, compared(results, column), column)
            for name, column in GROUPS.items()
        ]
        + [
            results_table(f"results-by-{column}", f"By {_HEADINGS[column]}", compared(results, column), column)
            for column in language_groups(results)
        ]
        + [published_numbers(results)]
    )


_HEADINGS = {
    "family": "language family",
    "script": "script",
    "resources": "resources of the language (share of mT5's corpus)",
    "training": "languages seen in training and not",
}


def language_groups(results: Results) -> list[str]:
    """Return what the languages of results can be grouped by so that there are several groups."""
    scores = [score for members in results.scores.values() for score in members]
    if len({score.provenance.language for score in scores}) < 2:
        return []
    found = [
        name for name in ("family", "script", "resources") if len({language_group(name, score) for score in scores}) > 1
    ]
    return [*found, *(["training"] if results.trained else [])]


def published_numbers(results: Results) -> Table:
    """Print the number of every task that can be published: of a prompt that was chosen beforehand."""
    columns = ("model", "suite", "task", "split", "metric", "items", "prompt", "chosen by", "value", "median", "best")
    rows = []
    for label, scores in results.scores.items():
        for chosen in chosen_prompts(scores):
            asked, metric = chosen.score.provenance, chosen.metric
            percent = in_percent(metric.name)
            ends = (math.nan if metric.low is None else metric.low, math.nan if metric.high is None else metric.high)
            rows.append((
                label,
                chosen.score.suite,
                asked.task,
                asked.split,
                metric.name.replace("_", " ") + (" %" if percent else ""),
                f"{metric.num_items:,}",
                asked.template,
                chosen.by,
                _interval(Estimate(metric.value, *ends), percent),
                _number(chosen.median, percent),
                f"{_number(chosen.best, percent)} of {chosen.prompts}",
            ))  # fmt: skip
    notes = (
        "The prompt is the best one on the validation split of its task if that was evaluated too, otherwise the "
        "first of its file. The best prompt on the measured rows should not be published alone.",
    )
    numeric = tuple(column in ("items", "value", "median", "best") for column in columns)
    return Table("published-numbers", "One prompt per task, chosen in advance", columns, tuple(rows), numeric, notes)


def composition_table(run: Run, by: Literal["language", "cluster"]) -> Table:
    """Count the mixture by language or by task cluster, largest first."""
    counts = run.composition.group_by(by).aggregate([("rows", "sum"), ("characters", "sum")])
    counts = counts.sort_by([("rows_sum", "descending"), (by, "ascending")])
    total = sum(counts["rows_sum"].to_pylist()) or 1
    rows = tuple(
        (_named(name) if by == "language" else name, f"{rows:,}", f"{100 * rows / total:.1f}", f"{characters:,}")
        for name, rows, characters in zip(*(column.to_pylist() for column in _columns(counts, by)), strict=True)
    )
    title = f"Mixture by {by if by == 'language' else 'task cluster'}"
    return Table(
        f"mixture-by-{by}", title, (by, "examples", "% of examples", "characters"), rows, (False, True, True, True)
    )


def _columns(counts: pa.Table, by: str) -> list[pa.ChunkedArray]:
    return [counts[by], counts["rows_sum"], counts["characters_sum"]]


def _named(code: str) -> str:
    return f"{code} {get_language(code).name}"


def results_table(name: str, title: str, comparisons: Sequence[Comparison], group: str = "") -> Table:
    """Print comparisons, one a row: values with 95 % intervals, chance and, for two labels, the change.

    Args:
        name: File name.
        title: Caption.
        comparisons: Of the same labels.
        group: Heading of what was grouped by inside each suite.
    """
    labels = tuple(comparisons[0].values) if comparisons else ()
    columns = ("suite", "held out", *((group,) if group else ()), "metric", "items", "chance", "majority", *labels)
    columns += {0: (), 1: ("cut", "reading"), 2: ("change", "cut", "reading")}.get(len(labels), ("cut",))
    details = [_details(comparison) for comparison in comparisons]
    known = tuple(name for name in DETAILS if any(row[name] != "-" for row in details))
    if any(comparison.parts for comparison in comparisons):
        known = (*(name for name in known if name not in _PARTS), *_PARTS)
    columns += known
    rows = tuple(
        (*_result_row(comparison, bool(group)), *(row[name] for name in known))
        for comparison, row in zip(comparisons, details, strict=True)
    )
    numeric = tuple(column not in TEXT and column != group for column in columns)
    return Table(name, title, columns, rows, numeric)


def _result_row(result: Comparison, grouped: bool) -> tuple[str, ...]:
    percent = in_percent(result.metric)
    cut = cut_text(result)
    readings: dict[int, tuple[str, ...]] = {
        1: (cut, verdict(result)),
        2: (_interval(result.change, percent, signed=True), cut, verdict(result)),
    }
    return (
        result.suite,
        "-" if result.axis == "none" else result.axis,
        *((result.group,) if grouped else ()),
        result.metric.replace("_", " ") + (" %" if percent else ""),
        result.items_text,
        _number(result.chance, percent),
        _number(result.majority, percent),
        *(_interval(value, percent) for value in result.values.values()),
        *readings.get(len(result.values), (cut,)),
    )


def _details(result: Comparison) -> dict[str, str]:
    """Return the cells of ``DETAILS``."""
    beside = [result.beside.get(label, Beside()) for label in result.values]
    parts = [result.parts.get(label) for label in result.values]
    percent = in_percent(result.metric)
    ranked = result.metric == "accuracy"
    tied = ranked and any(one.ties for one in beside)
    found = {
        "macro-F1": [_number(one.macro_f1 if ranked else None, True) for one in beside],
        "calibrated": [_interval(one.calibrated if ranked else None, True) for one in beside],
        "recall": [_shares(one.recall) if ranked else "-" for one in beside],
        "picks": [_shares([(str(n), s) for n, s in enumerate(one.picked, 1)]) if ranked else "-" for one in beside],
        "ties": [f"{one.ties:,}" if tied else "-" for one in beside],
        "in language": [_in_language(one) for one in beside],
        "clean": [_interval(one.clean if one else None, percent) for one in parts],
        "seen": [_interval(one.seen if one else None, percent) for one in parts],
        "clean items": [f"{one.num_clean:,}" if one else "-" for one in parts],
        "seen items": [f"{one.num_seen:,}" if one else "-" for one in parts],
    }
    return {name: _one_cell(cells) for name, cells in found.items()} | {
        name: cells[0] for name, cells in found.items() if name.endswith(" items") and len(set(cells)) == 1
    }


def _one_cell(cells: Sequence[str]) -> str:
    """Join what is known of each model; words that are the same for all stand once, figures for each."""
    return cells[0] if len(set(cells)) == 1 and not any(map(str.isdigit, cells[0])) else " / ".join(cells)


def _shares(shares: Sequence[tuple[str, float | None]]) -> str:
    return ", ".join(f"{name}: {_number(share, True)}" for name, share in shares) or "-"


def _in_language(one: Beside) -> str:
    """Describe how many of the judged answers are in the language asked for, or that nobody can tell."""
    if one.in_language is None:
        return "not measurable" if one.gap.startswith("not measurable") else "-"
    return f"{_interval(one.in_language, True)} of {one.judged:,}"


def cut_text(result: Comparison) -> str:
    """Describe how much of the answers and of the prompts was cut, of the model where it is most; ``!`` from 5 %."""
    told = []
    for what in ("answers", "prompts"):
        cut = [(getattr(one, f"{what}_cut"), getattr(one, what)) for one in result.beside.values()]
        share = max((part / whole for part, whole in cut if whole), default=0.0)
        if share:
            told.append(f"{what} {100 * share:.1f} %{'!' if share >= CUT_FLAG else ''}")
    return ", ".join(told) or "-"


def _number(value: float | None, percent: bool) -> str:
    return "-" if value is None else f"{100 * value if percent else value:.1f}"


def _interval(estimate: Estimate | None, percent: bool, *, signed: bool = False) -> str:
    if estimate is None:
        return "-"
    scale = 100 if percent else 1
    sign = "+" if signed else ""
    value, low, high = (scale * number for number in estimate)
    if math.isnan(low):
        return f"{value:{sign}.1f}"
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def render_table(table: Table, form: Format) -> str:
    """Return a table as CSV, Markdown or LaTeX (booktabs) text."""
    if form == "csv":
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(map(csv_cell, table.columns))
        writer.writerows(map(csv_cell, row) for row in table.rows)
        return stream.getvalue()
    return _markdown(table) if form == "md" else _latex(table)


def _markdown(table: Table) -> str:
    rule = tuple("---:" if numeric else "---" for numeric in table.numeric)
    cells = _cells(table, lambda text: text.replace("|", r"\|"), "**{}**")
    lines = [f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:])]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def _cells(table: Table, escape: Callable[[str], str], strong: str) -> list[list[str]]:
    """Return heading and rows as marked-up text."""
    heading = [escape(column) for column in table.columns]
    rows = [
        [
            strong.format(escape(cell)) if (line, column) in table.bold else escape(cell)
            for column, cell in enumerate(row)
        ]
        for line, row in enumerate(table.rows)
    ]
    return [heading, *rows]


_LATEX = str.maketrans({
    "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
})  # fmt: skip


def _latex(table: Table) -> str:
    alignment = "".join("r" if numeric else "l" for numeric in table.numeric)
    cells = _cells(table, lambda text: text.translate(_LATEX), r"\textbf{{{}}}")
    body = [" & ".join(row) + r" \\" for row in cells]
    return "\n".join([
        rf"% {table.title}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        body[0],
        r"\midrule",
        *body[1:],
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {note}" for note in table.notes),
        "",
    ])  # fmt: skip


def write_tables(tables: Sequence[Table], folder: Path, formats: Sequence[Format] = ("csv", "md", "tex")) -> list[Path]:
    """Write every table in every format; return the files written."""
    written = []
    for table in tables:
        for form in formats:
            path = folder / f"{table.name}.{form}"
            write_text(path, render_table(table, form))
            written.append(path)
    return written
