"""What the mixture is made of: examples per language, stacked by task cluster."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xmtf.languages.codes import get_language
from xmtf.report.collect import Run
from xmtf.report.figures.drawing.models import add_legend
from xmtf.report.figures.drawing.style import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(run: Run, most_languages: int = 80) -> Figure:
    """Draw one bar per language, largest first; smaller languages than ``most_languages`` are summed in one bar."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in run.composition.to_pylist():
        counts[row["language"]][row["cluster"]] += row["rows"]
    order = sorted(counts, key=lambda code: (-sum(counts[code].values()), code))
    shown, rest = order[:most_languages], order[most_languages:]
    labels = [f"{get_language(code).name} ({code})" for code in shown]
    bars = [counts[code] for code in shown]
    if rest:
        labels.append(f"{len(rest)} more languages")
        bars.append({cluster: sum(counts[code][cluster] for code in rest) for cluster in _clusters(run)})
    figure, axes = new_figure(8.2, 1.2 + 0.17 * len(labels) + 0.1 * len(_clusters(run)))
    left = [0.0] * len(labels)
    for index, cluster in enumerate(_clusters(run)):
        widths = [bar.get(cluster, 0) for bar in bars]
        axes.barh(labels, widths, left=left, height=0.75, color=PALETTE[index % len(PALETTE)], label=cluster)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.margins(y=0.005)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", labelsize=7, length=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("examples")
    axes.set_title(f"{sum(left):,.0f} examples in {len(order)} languages")
    add_legend(figure, axes.get_legend_handles_labels()[0])
    return figure


def _clusters(run: Run) -> list[str]:
    totals: dict[str, int] = defaultdict(int)
    for row in run.composition.to_pylist():
        totals[row["cluster"]] += row["rows"]
    return sorted(totals, key=lambda cluster: (-totals[cluster], cluster))
