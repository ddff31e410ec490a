"""Accuracy over how much of a language each model was pretrained on (Figure 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.languages.codes import get_language
from xmtf.report.figures.drawing.models import CHANCE_LINE, add_legend, chance_handle, looks, shown_models
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.figures.published.language_shares import published_shares
from xmtf.report.figures.published.scaling import DATASETS
from xmtf.report.inputs import Inputs
from xmtf.report.reference import dataset_facts
from xmtf.report.result_table import Measure, ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw the median English prompt of BLOOM and its finetuned models over the language's percentage of ROOTS.

    Returns:
        The figure, or None where the shares of ROOTS are not asked for or nothing was measured.
    """
    shares = published_shares(inputs).get("ROOTS", {})
    models = shown_models(results, ("BLOOM", "BLOOMZ-P3", "BLOOMZ-MT", "BLOOMZ"))
    panels = {
        dataset: [measure for measure in results.select(dataset) if measure.subset in shares] for dataset in DATASETS
    }
    if not shares or not models or not any(panels.values()):
        return None
    figure, axes = new_grid(7.4, 6.0, 2, 2)
    for (dataset, measures), place in zip(panels.items(), axes, strict=True):
        _panel(place, results, models, {shares[measure.subset]: measure for measure in measures})
        place.set_title(dataset_facts()[dataset].name)
    for place in axes[2:]:
        place.set_xlabel("% of ROOTS")
    for place in axes[::2]:
        place.set_ylabel("accuracy %")
    drawn = {line.get_label(): line for place in axes for line in place.get_legend_handles_labels()[0]}
    add_legend(figure, [*(drawn[model] for model in models if model in drawn), chance_handle()])
    return figure


def _panel(axes: Axes, results: ResultTable, models: list[str], by_share: dict[float, Measure]) -> None:
    order = sorted(by_share)
    for model, look in looks(models).items():
        points = [(share, cell.median) for share in order if (cell := results.cell(model, by_share[share])) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), color=look.color, marker=look.marker, markersize=5, label=model)
    chance = next((measure.chance for measure in by_share.values() if measure.chance is not None), None)
    if chance is not None:
        axes.axhline(chance, **CHANCE_LINE)
    axes.set_xscale("log")
    axes.set_xlim(0.006, 60)
    axes.set_xticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    _name_languages(axes, order, by_share)


def _name_languages(axes: Axes, order: list[float], by_share: dict[float, Measure]) -> None:
    """Write codes above their points, in three heights so that near ones do not meet."""
    for place, share in enumerate(order):
        code = get_language(by_share[share].subset).code
        height = 0.985 - 0.055 * (place % 3)
        axes.text(share, height, code, transform=axes.get_xaxis_transform(), ha="center", va="top", fontsize=7.5)
