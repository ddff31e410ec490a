"""The few numbers that sum a model up: mean of medians per task (Figure 4)."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from xmtf.report.result_table import ResultTable

__all__ = ["PANELS", "Panel", "TaskMean", "task_mean"]


@dataclass(frozen=True, slots=True)
class Panel:
    """A task of Figure 4.

    Attributes:
        title: Name of the task.
        datasets: Sets whose seen languages are averaged together, every language once.
        chance: Accuracy of guessing in percent.
    """

    title: str
    datasets: tuple[str, ...]
    chance: float


PANELS = (
    Panel("Sentence completion", ("xcopa", "xstory_cloze"), 50),
    Panel("Natural language inference", ("xnli",), 100 / 3),
    Panel("Coreference resolution", ("xwinograd",), 50),
)
"""The panels of Figure 4, left to right."""


@dataclass(frozen=True, slots=True)
class TaskMean:
    """Mean of a model's medians over the languages of a task.

    Attributes:
        value: Percent.
        error: Standard error that comes from the number of rows: languages and prompts are taken as given.
        measured: Languages that the model was measured on.
        expected: Languages of the task in the table.
    """

    value: float
    error: float | None
    measured: int
    expected: int


def task_mean(results: ResultTable, model: str, panel: Panel) -> TaskMean | None:
    """Return the mean over seen languages of the accuracy of the median English prompt, or None without a result.

    The standard error is ``sqrt(sum(p (1 - p) / n)) / languages`` over the languages' accuracies p of n rows.
    """
    measures = [measure for dataset in panel.datasets for measure in results.select(dataset, seen=True)]
    cells = [cell for measure in measures if (cell := results.cell(model, measure)) is not None]
    if not cells:
        return None
    values = [cell.median for cell in cells]
    error = None
    if all(cell.num_items for cell in cells):
        variance = sum(cell.median * (100 - cell.median) / (cell.num_items or 1) for cell in cells)
        error = variance**0.5 / len(cells)
    return TaskMean(statistics.fmean(values), error, len(cells), len(measures))
