"""All results (Table 9): median and best prompt of every model on every dataset, by prompt language."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xmtf.report.reference import evaluation_sets
from xmtf.report.result_table import Cell, Measure, ResultTable
from xmtf.report.tables import Table

__all__ = ["all_results", "code_results"]

_HEADING = ("task", "dataset", "subset", "split", "prompt", "metric")
_METRICS = {"accuracy": "acc."}


def all_results(results: ResultTable) -> Table:
    """Return one line per measure and statistic, one column per model."""
    rows = [
        (*_names(measure), label, *(_cell(results.cell(model, measure), value) for model in results.models))
        for measure in results.measures
        for label, value in _statistics(measure)
    ]
    return Table(
        "all-results",
        "All results",
        (*_HEADING, *results.models),
        tuple(rows),
        (False,) * len(_HEADING) + (True,) * len(results.models),
        (
            "Median and Max are over the prompts of one language: EN English, HT written or translated by a person, "
            "MT machine-translated. Pass@k is that of the best sampling temperature. Accuracy and Pass@k in percent.",
            *_parts(results, results.measures),
        ),
    )


def _parts(results: ResultTable, measures: Sequence[Measure]) -> list[str]:
    """Describe of each model that was asked a part of some sets only how many those are, and how much of the first."""
    notes = []
    for model in results.models:
        found = [(measure, part) for measure in measures if (part := _part(results.cell(model, measure), measure))]
        if found:
            (measure, (asked, every)), count = found[0], len({measure[:4] for measure, _ in found})
            name = f"{measure.dataset} {measure.subset}".strip()
            sets = "1 set" if count == 1 else f"{count} sets"
            notes.append(f"{model} was evaluated on part of {sets} only: {asked:,} of {every:,} for {name}.")
    return notes


def _part(cell: Cell | None, measure: Measure) -> tuple[int, int] | None:
    """Return how many rows a model was asked, and of how many; None where it was asked all, or that is not known."""
    known = evaluation_sets().get((measure.dataset, measure.subset))
    if cell is None or cell.num_items is None or known is None or cell.num_items >= known.items:
        return None
    return cell.num_items, known.items


def code_results(results: ResultTable) -> Table:
    """Return pass@k of HumanEval (Table 2), one line per model."""
    measures = [measure for measure in results.measures if measure.dataset == "openai_humaneval"]
    columns = list(dict.fromkeys(measure.metric for measure in measures if measure.metric.startswith("pass@")))
    by_metric = {measure.metric: measure for measure in measures}
    rows, whole = [], []
    for model in results.models:
        cells = [results.cell(model, by_metric[column]) for column in columns]
        if any(cells):
            rows.append((model, *(_cell(cell, lambda known: known.maximum) for cell in cells)))
            whole.append(not any(_part(results.cell(model, measure), measure) for measure in measures))
    best = {
        column: max((line for line in range(len(rows)) if whole[line]), key=lambda line: _value(rows[line][column]))
        for column in range(1, len(columns) + 1)
        if any(whole)
    }
    return Table(
        "humaneval",
        "HumanEval, 164 problems",
        ("model", *(column.capitalize() for column in columns)),
        tuple(rows),
        (False,) + (True,) * len(columns),
        (
            "In percent; for each k the best sampling temperature. Bold: the best per column.",
            *_parts(results, measures),
        ),
        frozenset((line, column) for column, line in best.items()),
    )


def _value(text: str) -> float:
    return -1.0 if text == "-" else float(text)


def _names(measure: Measure) -> tuple[str, ...]:
    return (measure.task, measure.dataset, measure.subset or "-", measure.split, measure.prompt_language)


def _statistics(measure: Measure) -> list[tuple[str, Callable[[Cell], float]]]:
    if measure.metric.startswith("pass@"):
        return [(measure.metric.capitalize(), lambda cell: cell.maximum)]
    name = _METRICS.get(measure.metric, measure.metric.replace("_", " "))
    return [(f"Median {name}", lambda cell: cell.median), (f"Max {name}", lambda cell: cell.maximum)]


def _cell(cell: Cell | None, value: Callable[[Cell], float]) -> str:
    return "-" if cell is None else f"{value(cell):.2f}"
