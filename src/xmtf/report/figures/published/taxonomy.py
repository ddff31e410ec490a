"""Task clusters and their datasets (Figure 1): trained on, held out, and new alongside P3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.patches import FancyBboxPatch, Rectangle

from xmtf.errors import UnknownNameError
from xmtf.report.figures.drawing.fonts import SANS, font_families, printable
from xmtf.report.figures.drawing.text_blocks import Block, new_page, text_width
from xmtf.report.inputs import Inputs
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_COLUMNS = 4
_WIDTH = 2.35
_CHIP, _GAP, _PAD = 0.22, 0.05, 0.09
_COLORS = {"train": ("#FCEBC8", "-"), "evaluation": ("#D3E8F6", (0, (3, 1.5))), "both": ("#E4D3EA", "-")}
_LABELS = {"train": "trained on", "evaluation": "held out for evaluation", "both": "trained on and evaluated"}
_SIZE = 7.5


@dataclass(frozen=True, slots=True)
class _Chip:
    name: str
    families: tuple[str, ...]
    role: str
    new: bool
    left: float
    line: int
    width: float


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw a box a cluster with a chip a dataset; bold ones are new alongside P3 where the input says so.

    Returns:
        The figure, or None without a taxonomy.
    """
    rows = inputs.own("taxonomy") or inputs.published("taxonomy")
    if not rows:
        return None
    clusters: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        clusters.setdefault(row["cluster"], []).append(row)
    boxes = {name: _chips(members) for name, members in clusters.items()}
    columns: list[list[str]] = [[] for _ in range(min(_COLUMNS, len(boxes)))]
    heights = [0.1] * len(columns)
    for name in sorted(boxes, key=lambda name: -_height(boxes[name])):
        shortest = heights.index(min(heights))
        columns[shortest].append(name)
        heights[shortest] += _height(boxes[name]) + 0.12
    figure, axes = new_page(max(len(columns) * (_WIDTH + 0.12) + 0.12, 4.0), max(heights) + 0.35)
    for column, names in enumerate(columns):
        top = 0.1
        for name in names:
            _draw_cluster(axes, 0.12 + column * (_WIDTH + 0.12), top, name, boxes[name])
            top += _height(boxes[name]) + 0.12
    chips = [chip for box in boxes.values() for chip in box]
    _legend(axes, max(heights) + 0.15, {chip.role for chip in chips}, any(chip.new for chip in chips))
    return figure


def _chips(rows: list[dict[str, Any]]) -> list[_Chip]:
    """Set names in lines of chips, breaking where a line is full."""
    chips = []
    left, line = _PAD, 0
    for row in rows:
        name = _shortened(printable(row["dataset"]).rsplit("/", 1)[-1])
        families = tuple(font_families(name))
        new = row.get("new") == "yes"
        width = text_width(name, families, _SIZE) * (1.12 if new else 1) + 0.12
        if left + width > _WIDTH - _PAD and left > _PAD:
            left, line = _PAD, line + 1
        if row["role"] not in _COLORS:
            raise UnknownNameError("role", row["role"], _COLORS, f"taxonomy, dataset {row['dataset']}")
        chips.append(_Chip(name, families, row["role"], new, left, line, width))
        left += width + _GAP
    return chips


def _shortened(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _height(chips: list[_Chip]) -> float:
    return 0.3 + (chips[-1].line + 1) * (_CHIP + _GAP) + 0.05


def _draw_cluster(axes: Axes, left: float, top: float, name: str, chips: list[_Chip]) -> None:
    box = Rectangle((left, top), _WIDTH, _height(chips), facecolor="white", edgecolor="#888888", linewidth=0.8)
    axes.add_patch(box)
    weight = "bold" if all(chip.new for chip in chips) else "normal"
    title = Block.of(_shortened(name[:1].upper() + name[1:], 34), _WIDTH - 2 * _PAD, 8.5, 1)
    title.draw(axes, left + _PAD, top + 0.08, fontweight=weight)
    for chip in chips:
        face, line = _COLORS[chip.role]
        x, y = left + chip.left, top + 0.3 + chip.line * (_CHIP + _GAP)
        style = "round,pad=0,rounding_size=0.05"
        axes.add_patch(
            FancyBboxPatch(
                (x, y),
                chip.width,
                _CHIP,
                boxstyle=style,
                facecolor=face,
                edgecolor="#777777",
                linewidth=0.6,
                linestyle=line,
            )
        )
        axes.text(
            x + chip.width / 2,
            y + _CHIP / 2,
            chip.name,
            family=list(chip.families),
            fontsize=_SIZE,
            ha="center",
            va="center_baseline",
            fontweight="bold" if chip.new else "normal",
            parse_math=False,
        )


def _legend(axes: Axes, top: float, roles: set[str], new: bool) -> None:
    left = 0.12
    for role, (face, line) in _COLORS.items():
        if role in roles:
            axes.add_patch(
                Rectangle(
                    (left, top - 0.06), 0.25, 0.13, facecolor=face, edgecolor="#777777", linewidth=0.6, linestyle=line
                )
            )
            axes.text(left + 0.32, top, _LABELS[role], fontsize=8, va="center")
            left += 0.62 + text_width(_LABELS[role], (SANS,), 8)
    if new:
        axes.text(left, top, "bold: not in P3", fontsize=8, va="center", fontweight="bold")
