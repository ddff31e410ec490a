"""The few numbers that sum a model up: mean of medians per task (Figure 4)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from xmtf.intervals import wilson
from xmtf.report.result_table import Cell, ResultTable

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
        low: Lower end of the 95 % interval that comes from the number of rows, or None where that is not known:
            languages and prompts are taken as given.
        high: Upper end.
        measured: Languages that the model was measured on.
        expected: Languages of the task in the table.
    """

    value: float
    low: float | None
    high: float | None
    measured: int
    expected: int


def task_mean(results: ResultTable, model: str, panel: Panel) -> TaskMean | None:
    """Return the mean over seen languages of the accuracy of the median English prompt, or None without a result.

    Languages of one dataset are asked translations of the same rows and are taken to err alike; datasets err apart. The
    ends come from each language's Wilson interval, so they stay in 0-100 and have a width at both.
    """
    measures = [measure for dataset in panel.datasets for measure in results.select(dataset, seen=True)]
    cells = [(measure, cell) for measure in measures if (cell := results.cell(model, measure)) is not None]
    if not cells:
        return None
    mean = statistics.fmean(cell.median for _, cell in cells)
    low = high = None
    if all(cell.num_items for _, cell in cells):
        below, above = zip(
            *(_distances([cell for m, cell in cells if m.dataset == name]) for name in panel.datasets), strict=True
        )
        low = max(0.0, mean - math.hypot(*below) / len(cells))
        high = min(100.0, mean + math.hypot(*above) / len(cells))
    return TaskMean(mean, low, high, len(cells), len(measures))


def _distances(cells: Sequence[Cell]) -> tuple[float, float]:
    """Return how far the ends of the intervals of languages lie from their values, summed over the languages."""
    ends = [wilson(cell.median / 100, cell.num_items or 1) for cell in cells]
    pairs = list(zip(cells, ends, strict=True))
    return (
        math.fsum(cell.median - 100 * low for cell, (low, _) in pairs),
        math.fsum(100 * high - cell.median for cell, (_, high) in pairs),
    )
