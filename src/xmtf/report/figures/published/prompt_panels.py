"""One small panel per dataset and language, one column per model, one dot per prompt: Figures 5, 9 and 10.

The spread over prompts is as large as many differences between models, so every prompt is shown. The grey
line is the 95 % interval (Wilson) of the median prompt from the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from xmtf.intervals import wilson
from xmtf.report.figures.drawing.models import CHANCE_LINE, Look, add_legend, chance_handle, handles, looks
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.reference import dataset_facts
from xmtf.report.result_table import Cell, Measure, ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_panels"]


def draw_panels(
    results: ResultTable, measures: Sequence[Measure], models: Sequence[str], columns: int
) -> Figure | None:
    """Draw one panel a measure.

    Args:
        results: Results.
        measures: What to show, panel by panel.
        models: Models, left to right in each panel.
        columns: Panels in a row.

    Returns:
        The figure, or None where no model has a result on any measure.
    """
    measures = [measure for measure in measures if any(results.cell(model, measure) for model in models)]
    if not measures:
        return None
    models = [model for model in models if any(results.cell(model, measure) for measure in measures)]
    columns = min(columns, len(measures))
    rows = -(-len(measures) // columns)
    width = max(1.0, 0.17 * len(models) + 0.45) * columns + 0.5
    figure, axes = new_grid(max(width, 4.5), 1.55 * rows + 0.75, rows, columns)
    for place, measure in zip(axes, measures, strict=False):
        _panel(place, results, measure, models)
    for place in axes[len(measures) :]:
        place.set_visible(False)
    figure.supylabel("accuracy %", fontsize=9)
    add_legend(figure, [*handles(models), chance_handle()])
    return figure


def _title(measure: Measure) -> str:
    """Return the heading of a panel, such as ``XNLI ru``; a set of one subset needs no more than its name."""
    name = dataset_facts()[measure.dataset].name
    if measure.dataset == "super_glue":
        return measure.subset.upper()
    if measure.dataset in ("winogrande", "story_cloze"):
        return name
    return f"{name} {measure.subset.upper() if measure.dataset == 'anli' else measure.subset}"


def _panel(axes: Axes, results: ResultTable, measure: Measure, models: Sequence[str]) -> None:
    if measure.chance is not None:
        axes.axhline(measure.chance, **CHANCE_LINE)
    for place, (model, look) in enumerate(looks(models).items()):
        cell = results.cell(model, measure)
        if cell is not None:
            _column(axes, place, cell, look)
    axes.set_title(_title(measure), fontsize=8.5, fontweight="normal", loc="center")
    axes.set_xlim(-0.7, len(models) - 0.3)
    axes.set_xticks([])
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    axes.tick_params(axis="y", labelsize=7)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _column(axes: Axes, place: int, cell: Cell, look: Look) -> None:
    if cell.num_items:
        low, high = wilson(cell.median / 100, cell.num_items)
        axes.plot([place, place], [100 * low, 100 * high], color="#D9D9D9", linewidth=4, zorder=1.2)
    values = list(cell.prompts.values()) or [cell.median, cell.maximum]
    axes.scatter(
        [place] * len(values),
        values,
        s=34 if look.marker == "*" else 13,
        color=look.color,
        marker=look.marker,
        linewidths=0,
        zorder=3,
    )
    axes.plot([place - 0.36, place + 0.36], [cell.median] * 2, color=look.color, linewidth=1.6, zorder=2.5)
