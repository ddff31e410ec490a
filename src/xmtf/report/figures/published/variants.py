"""One example as P3, xP3 and xP3mt hold it (Figure 3): what is in English, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from xmtf.report.figures.drawing.text_blocks import Block, new_page
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

__all__ = ["draw"]

_WIDTH = 2.7
_MARGIN = 0.13
_FOOT = 0.36
"""Inches of a box above and below its text; the label is in the lower part."""
_INPUTS, _TARGETS = "#EAF3FA", "#FDF1D8"


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw the variants side by side, the prompt above its answer.

    Returns:
        The figure, or None without variants.
    """
    rows = inputs.rows("variants")
    if not rows:
        return None
    inner = _WIDTH - 2 * _MARGIN
    titles = [Block.of(row["title"], inner, 9) for row in rows]
    prompts = [Block.of(row["inputs"], inner) for row in rows]
    answers = [Block.of(row["targets"], inner) for row in rows]
    heights = [max(block.height for block in blocks) for blocks in (titles, prompts, answers)]
    top = 0.1 + heights[0] + 0.08
    middle = top + heights[1] + _FOOT + 0.22
    step = _WIDTH + 0.15
    figure, axes = new_page(step * len(rows) + 0.15, middle + heights[2] + _FOOT + 0.15)
    for column in range(len(rows)):
        left = 0.15 + step * column
        titles[column].draw(axes, left, 0.1, fontweight="bold")
        for block, above, height, color, label in (
            (prompts[column], top, heights[1], _INPUTS, "inputs"),
            (answers[column], middle, heights[2], _TARGETS, "targets"),
        ):
            axes.add_patch(_box(left, above, height + _FOOT, color))
            block.draw(axes, left + _MARGIN, above + _MARGIN)
            axes.text(
                left + _WIDTH - 0.05,
                above + height + _FOOT - 0.05,
                label,
                fontsize=7,
                color="#777777",
                ha="right",
            )
        axes.annotate(
            "",
            (left + _WIDTH / 2, middle - 0.01),
            (left + _WIDTH / 2, middle - 0.21),
            arrowprops={"arrowstyle": "-|>", "color": "#555555"},
        )
    return figure


def _box(left: float, top: float, height: float, color: str) -> Rectangle:
    return Rectangle((left, top), _WIDTH, height, facecolor=color, edgecolor="#999999", linewidth=0.6)
