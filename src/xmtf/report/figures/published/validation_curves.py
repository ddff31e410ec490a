"""Accuracy and BLEU of checkpoints over finetuning (Figure 7): when is a model done?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xmtf.report.figures.drawing.models import add_legend, looks
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.inputs import Inputs, number
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]

_PANELS = (("accuracy", "Classification by rank", "accuracy %"), ("bleu", "Translation and summarization", "BLEU"))
_RELEASED = {"BLOOMZ": 498, "mT0-13B": 7000}
"""Steps of the checkpoints that were released."""


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw both scores over finetuning tokens; stars are the checkpoints that were released.

    Returns:
        The figure, or None without validation results.
    """
    rows = inputs.rows("validation")
    if not rows:
        return None
    models: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        models.setdefault(row["model"], []).append(row)
    figure, axes = new_grid(6.8, 5.0, 2, 1, sharex=True)
    for (name, title, label), place in zip(_PANELS, axes, strict=True):
        for model, look in looks(models).items():
            known = [row for row in models[model] if row[name]]
            tokens = [number(row, "tokens", "validation") / 1e9 for row in known]
            values = [number(row, name, "validation") for row in known]
            place.plot(tokens, values, color=look.color, marker=look.marker, markersize=4, label=model)
            chosen = [
                index for index, row in enumerate(known) if number(row, "step", "validation") == _RELEASED.get(model)
            ]
            for index in chosen:
                place.plot(tokens[index], values[index], "*", color=look.color, markersize=14, markeredgecolor="white")
        place.set_title(title)
        place.set_ylabel(label)
    axes[1].set_xlabel("finetuning tokens, billion")
    add_legend(figure, axes[0].get_legend_handles_labels()[0])
    return figure
