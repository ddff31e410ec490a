"""One search for all figures: colours that colour-blind readers can tell apart, thin axes, no clutter."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xmtf.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "AFTER",
    "BEFORE",
    "CHANCE",
    "NOTE",
    "PALETTE",
    "add_note",
    "blank_figure",
    "new_figure",
    "new_grid",
    "save_figure",
]

# Okabe and Ito's palette (2008), safe for the common forms of colour blindness.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C00", "#5B5B5B", "#7A4FBF", "#B0A0A0")
BEFORE = "#8A8A8A"
AFTER = "#0072B2"
CHANCE = "#D55E00"
NOTE = "#9A3B00"

_STYLE = {
    "figure.dpi": 110,
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.linewidth": 0.7,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "svg.fonttype": "path",  # text looks the same wherever the file is opened
    "svg.hashsalt": "xmtf",  # the same figure is the same bytes
}


def blank_figure(width: float, height: float) -> Figure:
    """Return an empty figure of ``width`` x ``height`` inches in the common style."""
    matplotlib.rcParams.update(_STYLE)
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)  # no window, no global state
    return figure


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure of ``width`` x ``height`` inches with one pair of axes, in the common style."""
    figure = blank_figure(width, height)
    return figure, figure.add_subplot()


def new_grid(width: float, height: float, rows: int, columns: int, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure with ``rows`` x ``columns`` axes, row by row.

    Args:
        width: Inches.
        height: Inches.
        rows: Rows of axes.
        columns: Columns of axes.
        options: Of ``matplotlib.figure.Figure.subplots``, such as ``sharey``.
    """
    figure = blank_figure(width, height)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def add_note(figure: Figure, note: str) -> None:
    """Write a line above the axes that says whose data they show; nothing where there is nothing to say."""
    if note:
        figure.suptitle(note, x=0.01, ha="left", fontsize=7.5, color=NOTE)


def save_figure(figure: Figure, folder: Path, name: str, formats: tuple[str, ...]) -> list[Path]:
    """Write a figure in each format (svg, png, pdf); return the files written."""
    written = []
    for form in formats:
        path = folder / f"{name}.{form}"
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
        with atomic_path(path) as temporary:
            drawn = BytesIO()  # matplotlib's writers break in ways of their own on a full disk
            figure.savefig(drawn, format=form, dpi=150, metadata=metadata)
            temporary.write_bytes(drawn.getbuffer())
        written.append(path)
    return written
