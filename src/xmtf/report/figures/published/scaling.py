"""Accuracy over model size (Figure 6): one thin line a language, a thick one for their mean."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from xmtf.report.figures.drawing.models import CHANCE_LINE, add_legend, chance_handle, looks
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.inputs import Inputs
from xmtf.report.reference import dataset_facts, published_models
from xmtf.report.result_table import Measure, ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw"]

DATASETS = ("xcopa", "xnli", "xstory_cloze", "xwinograd")
FAMILIES = ("BLOOM", "BLOOMZ", "mT0")


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw the median English prompt of BLOOM, BLOOMZ and mT0 of all sizes on languages that they have seen.

    Returns:
        The figure, or None where no family has results for two sizes.
    """
    sizes = {family: _members(results, family) for family in FAMILIES}
    if not any(len(members) > 1 for members in sizes.values()):
        return None
    figure, axes = new_grid(7.2, 5.6, 2, 2, sharex=True)
    for dataset, place in zip(DATASETS, axes, strict=True):
        _panel(place, results, dataset, sizes)
    for place in axes[2:]:
        place.set_xlabel("parameters, billion")
    for place in axes[::2]:
        place.set_ylabel("accuracy %")
    add_legend(figure, [*_handles(), chance_handle()])
    return figure


def _members(results: ResultTable, family: str) -> dict[str, float]:
    """Return model -> size of a family's models on the plain mixture, smallest first."""
    facts = [
        model
        for model in published_models().values()
        if model.family == family and model.mixture in ("", "xP3") and model.name in results.models
    ]
    return {model.name: model.billion_parameters for model in sorted(facts, key=lambda m: m.billion_parameters)}


def _panel(axes: Axes, results: ResultTable, dataset: str, sizes: dict[str, dict[str, float]]) -> None:
    measures = results.select(dataset, seen=True)
    for family, members in sizes.items():
        look = looks([family])[family]
        for measure in measures:
            points = _points(results, members, [measure])
            axes.plot(*points, color=look.color, linewidth=0.7, alpha=0.45)
        axes.plot(
            *_points(results, members, measures), color=look.color, marker=look.marker, linewidth=2.2, markersize=5
        )
    chance = next((measure.chance for measure in measures if measure.chance is not None), None)
    if chance is not None:
        axes.axhline(chance, **CHANCE_LINE)
    axes.set_title(f"{dataset_facts()[dataset].name}: {', '.join(measure.subset for measure in measures)}", fontsize=9)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100, 200], ["0.5", "1", "2", "5", "10", "20", "50", "100", "200"])
    axes.minorticks_off()


def _points(
    results: ResultTable, members: dict[str, float], measures: Sequence[Measure]
) -> tuple[list[float], list[float]]:
    found = [(size, results.medians(model, measures)) for model, size in members.items()]
    kept = [(size, statistics.fmean(values)) for size, values in found if len(values) == len(measures)]
    return [size for size, _ in kept], [value for _, value in kept]


def _handles() -> list[Line2D]:
    return [
        Line2D([], [], color=look.color, marker=look.marker, linewidth=2.2, markersize=5, label=f"{family}, mean")
        for family, look in looks(FAMILIES).items()
    ]
