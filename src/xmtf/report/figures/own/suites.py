"""Models side by side per suite: points with 95 % intervals alongside the chance line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from xmtf.report.comparison.compare import Comparison
from xmtf.report.figures.drawing.models import add_legend
from xmtf.report.figures.drawing.style import AFTER, BEFORE, CHANCE, PALETTE, new_figure
from xmtf.results.estimates import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_MARKERS = "oDs^vP*X"
_LONG = 28
"""Letters of a label from which on legends stand below."""


def draw(comparisons: Sequence[Comparison], title: str, *, by_group: bool = False) -> Figure:
    """Draw rank accuracies, one line of the figure per suite (or per group of a suite).

    Args:
        comparisons: Results with metric ``accuracy``.
        title: Heading.
        by_group: Label lines by group instead of by suite.
    """
    names = [result.group if by_group else result.suite for result in comparisons]
    labels = [label for label in comparisons[0].values if any(result.values[label] for result in comparisons)]
    height = max(0.24 if by_group else 0.5, 0.14 * len(labels))
    figure, axes = new_figure(6.6, 1.1 + height * len(names))
    colors = _colors(list(comparisons[0].values))
    for line, result in enumerate(comparisons):
        if result.chance is not None:
            axes.plot([100 * result.chance] * 2, [line - 0.36, line + 0.36], color=CHANCE, linewidth=2, zorder=1)
        for place, label in enumerate(labels):
            offset = 0.24 * (place - (len(labels) - 1) / 2) * min(1.0, 3 / len(labels))
            _point(axes, result.values[label], line + offset, colors[label], _MARKERS[place % len(_MARKERS)])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy %")
    axes.set_title(title)
    _legend(figure, axes, {label: colors[label] for label in labels})
    return figure


def _colors(labels: Sequence[str]) -> dict[str, str]:
    """Colour a run's two labels as everywhere, other models by the palette but for the colour of chance."""
    if set(labels) <= {"before", "after"}:
        return {label: BEFORE if label == "before" else AFTER for label in labels}
    palette = [color for color in PALETTE if color != CHANCE]
    return {label: palette[place % len(palette)] for place, label in enumerate(labels)}


def _point(axes: Axes, estimate: Estimate | None, height: float, color: str, marker: str) -> None:
    if estimate is None:
        return
    value, low, high = (100 * number for number in estimate)
    axes.plot([max(low, 0), min(high, 100)], [height, height], color=color, linewidth=1.4, zorder=2)
    axes.plot([value], [height], marker, color=color, markersize=5, zorder=3)


def _legend(figure: Figure, axes: Axes, colors: dict[str, str]) -> None:
    """Write the legend at the right, or below where its names would take the room of the axes."""
    handles = [
        Line2D([], [], color=color, marker=_MARKERS[place % len(_MARKERS)], markersize=5, label=label)
        for place, (label, color) in enumerate(colors.items())
    ]
    handles.append(Line2D([], [], color=CHANCE, linewidth=2, label="chance"))
    if max(map(len, colors)) > _LONG:
        figure.set_figheight(figure.get_figheight() + 0.2 * len(handles))
        add_legend(figure, handles)
        return
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
