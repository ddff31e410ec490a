"""Before and after per suite: points with 95 % intervals beside the chance line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xmtf.report.compare import Comparison
from xmtf.report.estimates import Estimate
from xmtf.report.figures.style import AFTER, BEFORE, CHANCE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(comparisons: Sequence[Comparison], title: str, *, by_group: bool = False) -> Figure:
    """Draw rank accuracies, one line of the figure per suite (or per group of a suite).

    Args:
        comparisons: Results with metric ``accuracy``.
        title: Heading.
        by_group: Label lines by group instead of by suite.
    """
    labels = [result.group if by_group else result.suite for result in comparisons]
    figure, axes = new_figure(6.6, 1.1 + (0.24 if by_group else 0.5) * len(labels))
    for line, result in enumerate(comparisons):
        if result.chance is not None:
            axes.plot([100 * result.chance] * 2, [line - 0.36, line + 0.36], color=CHANCE, linewidth=2, zorder=1)
        _point(axes, result.before, line - 0.12, BEFORE, "o")
        _point(axes, result.after, line + 0.12, AFTER, "D")
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy %")
    axes.set_title(title)
    _legend(axes)
    return figure


def _point(axes: Axes, estimate: Estimate | None, height: float, color: str, marker: str) -> None:
    if estimate is None:
        return
    value, low, high = (100 * number for number in estimate)
    axes.plot([max(low, 0), min(high, 100)], [height, height], color=color, linewidth=1.4, zorder=2)
    axes.plot([value], [height], marker, color=color, markersize=5, zorder=3)


def _legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BEFORE, marker="o", markersize=5, label="before"),
        Line2D([], [], color=AFTER, marker="D", markersize=5, label="after"),
        Line2D([], [], color=CHANCE, linewidth=2, label="chance"),
    ]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
