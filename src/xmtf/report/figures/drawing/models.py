"""The look of each model: one colour and one marker wherever it is drawn.

Models that are in one figure differ in colour for colour-blind readers too (a test simulates the three forms), and in
marker for a print without colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from matplotlib.lines import Line2D

from xmtf.report.reference import published_models
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["CHANCE_LINE", "Look", "add_legend", "chance_handle", "handles", "looks", "shown_models"]

CHANCE_LINE: dict[str, Any] = {"color": "#444444", "linewidth": 1.0, "linestyle": (0, (4, 2)), "zorder": 1.5}
"""How the accuracy of guessing is drawn."""


@dataclass(frozen=True, slots=True)
class Look:
    """Colour and marker of a model."""

    color: str
    marker: str


_PUBLISHED = {
    "XGLM-7.5B": Look("#009E73", "v"),
    "BLOOM": Look("#4D4D4D", "o"),
    "BLOOM-7.1B": Look("#CC79A7", "v"),
    "T0-11B": Look("#009E73", "P"),
    "mTk-13B": Look("#CC79A7", "X"),
    "mT0-13B": Look("#E69F00", "D"),
    "mT0-13B-P3": Look("#882255", "d"),
    "BLOOMZ": Look("#0072B2", "s"),
    "BLOOMZ-7.1B": Look("#009E73", "P"),
    "BLOOMZ-P3": Look("#56B4E9", "^"),
    "BLOOMZ-MT": Look("#D55E00", "P"),
    "mT0": Look("#E69F00", "D"),
}
_OWN_COLORS = ("#D55E00", "#000000", "#F0E442", "#7A4FBF", "#66A61E")
_OWN_MARKERS = ("*", "h", "p", "<", ">", "8", "H")


def shown_models(results: ResultTable, published: Sequence[str]) -> list[str]:
    """Return the named published models that have results, then every model of the user's."""
    own = [model for model in results.models if model not in published_models()]
    return [model for model in published if model in results.models] + own


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Return the look of each model of a figure; a user's own get colours that no published one there has."""
    models = list(models)
    taken = {_PUBLISHED[model].color for model in models if model in _PUBLISHED}
    free = map(Look, cycle([color for color in _OWN_COLORS if color not in taken]), cycle(_OWN_MARKERS))
    return {model: _PUBLISHED[model] if model in _PUBLISHED else next(free) for model in models}


def handles(models: Iterable[str]) -> list[Line2D]:
    """Return the entries of a legend."""
    return [
        Line2D([], [], color=look.color, marker=look.marker, linestyle="", markersize=6, label=model)
        for model, look in looks(models).items()
    ]


def add_legend(figure: Figure, entries: Sequence[Any]) -> None:
    """Write a legend below a figure, row by row, in as few rows as fit, each about as long as the others."""
    most = max(1, int(figure.get_figwidth() / (0.075 * max(len(str(entry.get_label())) for entry in entries) + 0.55)))
    rows = -(-len(entries) // most)
    columns = -(-len(entries) // rows)
    by_column = [entry for column in range(columns) for entry in entries[column::columns]]
    figure.legend(handles=by_column, loc="outside lower center", ncols=columns)


def chance_handle() -> Line2D:
    """Return the entry of a legend for the accuracy of guessing."""
    return Line2D([], [], **{key: value for key, value in CHANCE_LINE.items() if key != "zorder"}, label="chance")
