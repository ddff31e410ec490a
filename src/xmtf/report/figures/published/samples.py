"""What models write (Figures 13 to 16): each prompt, and the text of each model after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from xmtf.report.figures.drawing.style import NOTE
from xmtf.report.figures.drawing.text_blocks import Block, new_page, note_block
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

MOST_PROMPTS = 8
_LABEL, _TEXT, _GAP = 1.35, 6.0, 0.07


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw up to eight prompts, evenly over the file, with what each model wrote, in any script.

    Returns:
        The figure, or None without samples.
    """
    prompts = _by_prompt(inputs.rows("samples"))
    if not prompts:
        return None
    every = list(prompts.items())
    count = min(len(every), MOST_PROMPTS)
    shown = [every[place * len(every) // count] for place in range(count)]
    parts = [
        (
            Block.of(prompt, _LABEL + _TEXT, 9, 12),
            [
                (Block.of(model, _LABEL - 0.1, 8, 4), Block.of(text or "(nothing)", _TEXT, 8.5, 10))
                for model, text in texts
            ],
        )
        for prompt, texts in shown
    ]
    note = note_block(inputs.note_on("samples"), _LABEL + _TEXT)
    height = 0.15 + note.height + sum(_part_height(prompt, answers) for prompt, answers in parts)
    left_out = len(prompts) - len(shown)
    figure, axes = new_page(_LABEL + _TEXT + 0.4, height + (0.2 if left_out else 0))
    note.draw(axes, 0.2, 0.06, color=NOTE)
    top = 0.12 + note.height
    for prompt, answers in parts:
        _draw_part(axes, top, prompt, answers)
        top += _part_height(prompt, answers)
    if left_out:
        axes.text(0.2, top + 0.08, f"{left_out:,} more prompts not shown", fontsize=7.5, color="#777777", va="center")
    return figure


def _by_prompt(rows: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    prompts: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        prompts.setdefault(row["prompt"], []).append((str(row.get("model") or "model"), row["text"]))
    return prompts


Answers = list[tuple[Block, Block]]


def _part_height(prompt: Block, answers: Answers) -> float:
    return prompt.height + 0.32 + sum(max(label.height, text.height) + _GAP for label, text in answers)


def _draw_part(axes: Axes, top: float, prompt: Block, answers: Answers) -> None:
    box = Rectangle((0.13, top), _LABEL + _TEXT + 0.14, prompt.height + 0.1, facecolor="#EAF3FA", linewidth=0)
    axes.add_patch(box)
    prompt.draw(axes, 0.2, top + 0.05)
    top += prompt.height + 0.17
    for label, text in answers:
        label.draw(axes, 0.2, top + 0.78 * (text.line_height - label.line_height), color="#555555")
        text.draw(axes, 0.2 + _LABEL, top)
        top += max(label.height, text.height) + _GAP
