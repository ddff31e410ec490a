"""How well models do on held-out tasks (Figure 4): one bar per model, one panel per task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Patch

from xmtf.report.figures.drawing.models import CHANCE_LINE, add_legend, chance_handle, looks, shown_models
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.inputs import Inputs
from xmtf.report.published.task_means import PANELS, Panel, task_mean
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

__all__ = ["draw"]

MODELS = ("XGLM-7.5B", "BLOOM", "mTk-13B", "BLOOMZ-P3", "BLOOMZ", "mT0-13B")


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw the mean over seen languages of each model's median English prompt, with the chance line.

    Lines on the bars are 95 % intervals from the number of rows; a bar over fewer languages than the task has
    says so.

    Returns:
        The figure, or None without a result on any of the tasks.
    """
    known = {model: [panel for panel in PANELS if task_mean(results, model, panel)] for model in results.models}
    models = [model for model in shown_models(results, MODELS) if known[model]]
    panels = [panel for panel in PANELS if any(panel in known[model] for model in models)]
    if not panels:
        return None
    figure, axes = new_grid(max(3.2, 0.42 * len(models) + 0.5) * len(panels), 3.3, 1, len(panels))
    for panel, place in zip(panels, axes, strict=True):
        _panel(place, results, models, panel)
    axes[0].set_ylabel("accuracy %")
    entries = [_swatch(model, color.color) for model, color in looks(models).items()]
    add_legend(figure, [*entries, chance_handle()])
    return figure


def _swatch(model: str, color: str) -> Patch:
    return Patch(color=color, label=model)


def _panel(axes: Axes, results: ResultTable, models: list[str], panel: Panel) -> None:
    shown = looks(models)
    for place, model in enumerate(models):
        mean = task_mean(results, model, panel)
        if mean is None:
            axes.text(place, 1.5, "not measured", rotation=90, ha="center", va="bottom", fontsize=7, color="#777777")
            continue
        axes.bar(place, mean.value, width=0.78, color=shown[model].color)
        top = mean.value
        if mean.low is not None and mean.high is not None:
            ends = [[mean.value - mean.low], [mean.high - mean.value]]
            axes.errorbar(place, mean.value, ends, color="#222222", linewidth=0.9, capsize=2)
            top = mean.high
        note = "" if mean.measured == mean.expected else f"\n{mean.measured} of {mean.expected}"
        axes.text(place, top + 1, f"{mean.value:.1f}{note}", ha="center", va="bottom", fontsize=8)
    axes.axhline(panel.chance, **CHANCE_LINE)
    axes.set_title(panel.title)
    axes.set_ylim(0, 100)
    axes.set_xlim(-0.6, len(models) - 0.4)
    axes.set_xticks([])
    axes.grid(axis="x", visible=False)
