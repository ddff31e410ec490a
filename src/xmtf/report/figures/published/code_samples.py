"""The same problem solved by several models (Figure 12): finetuned models write shorter code without comments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from xmtf.report.figures.drawing.fonts import MONOSPACE
from xmtf.report.figures.drawing.style import NOTE
from xmtf.report.figures.drawing.text_blocks import Block, new_page, note_block
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

_WIDTH = 4.1
_MOST = 4


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw programs side by side, up to four, in a typewriter font.

    Returns:
        The figure, or None without programs.
    """
    rows = inputs.rows("generations")[:_MOST]
    if not rows:
        return None
    titles = [Block.of(row["model"], _WIDTH - 0.2, 9, 2) for row in rows]
    programs = [Block.of(row["text"], _WIDTH - 0.2, 7.5, 60, MONOSPACE) for row in rows]
    step = _WIDTH + 0.12
    width = step * len(rows) + 0.12
    note = note_block(inputs.note_on("generations"), width - 0.24)
    top = 0.14 + note.height + max(title.height for title in titles)
    height = max(program.height for program in programs)
    figure, axes = new_page(width, top + height + 0.3)
    note.draw(axes, 0.12, 0.06, color=NOTE)
    for column, (title, program) in enumerate(zip(titles, programs, strict=True)):
        left = 0.12 + step * column
        title.draw(axes, left, 0.08 + note.height, fontweight="bold")
        axes.add_patch(
            Rectangle((left, top), _WIDTH, height + 0.2, facecolor="#F6F6F6", edgecolor="#BBBBBB", linewidth=0.6)
        )
        program.draw(axes, left + 0.1, top + 0.1)
    return figure
