"""Text in figures: broken into lines that fit a width, in any script, and drawn in boxes.

Positions are in inches from the upper left corner of a figure without axes, since such figures are pages.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from xmtf.report.figures.drawing.fonts import MONOSPACE, SANS, font_families, is_right_to_left, printable
from xmtf.report.figures.drawing.style import blank_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch

__all__ = ["Block", "new_page", "note_block", "text_width"]

_POINTS = 72
_MOST_IN_LINE = 300
"""Characters of a line at most: what is surely beyond the last line is not measured."""


@dataclass(frozen=True, slots=True)
class Block:
    """Text broken into lines.

    Attributes:
        lines: Lines in the order in which they are read.
        families: Fonts that have its characters.
        size: Font size in points.
        width: Inches that the lines fit into.
    """

    lines: tuple[str, ...]
    families: tuple[str, ...]
    size: float
    width: float

    @classmethod
    def of(cls, text: str, width: float, size: float = 8.5, most_lines: int = 40, font: str = SANS) -> Block:
        """Break ``text`` into lines of at most ``width`` inches; the rest of too long a text is counted, not shown.

        Raises:
            MissingFontError: No installed font has a character of the text.
        """
        text = printable(text).strip("\n")
        text, beyond = text[: most_lines * _MOST_IN_LINE], len(text[most_lines * _MOST_IN_LINE :])
        families = tuple(font_families(text, font))
        lines = [line for paragraph in text.split("\n") for line in _wrap(paragraph, width, families, size)]
        if len(lines) > most_lines or beyond:
            left = beyond + sum(len(line) for line in lines[most_lines - 1 :])
            lines = [*lines[: most_lines - 1], f"[{left:,} more characters]"]
        return cls(tuple(lines), families, size, width)

    @property
    def line_height(self) -> float:
        """Inches from line to line; scripts other than Latin stand taller."""
        return self.size / _POINTS * (1.35 if len(self.families) == 1 else 1.65)

    @property
    def height(self) -> float:
        """Inches of all lines."""
        return self.line_height * len(self.lines)

    def draw(self, axes: Axes, left: float, top: float, **options: Any) -> None:
        """Draw the lines below ``top``, at the left or, for text that reads from right to left, at the right.

        Programs are at the left, whatever their comments are written in.
        """
        for number, line in enumerate(self.lines):
            baseline = top + self.line_height * (number + 0.78)
            rightwards = self.families[0] != MONOSPACE and is_right_to_left(line)
            if "\u200c" in line:
                start = left + self.width - text_width(line, self.families, self.size) if rightwards else left
                axes.add_patch(_outline(line, self, start, baseline, options.get("color", "black")))
                continue
            axes.text(
                left + self.width if rightwards else left,
                baseline,
                line,
                family=list(self.families),
                fontsize=self.size,
                ha="right" if rightwards else "left",
                va="baseline",
                parse_math=False,
                **options,
            )


def note_block(note: str, width: float) -> Block:
    """Return a line in small print above a page of texts, with the space below it; no line for an empty note."""
    return Block.of(f"{note}\n ", width, 7.5) if note else Block((), (SANS,), 7.5, width)


def _outline(line: str, block: Block, left: float, baseline: float, color: str) -> PathPatch:
    """Return a line as a shape: matplotlib's PDF writer misplaces what follows a zero-width non-joiner."""
    with rc_context({"text.parse_math": False}):
        path = TextPath((0, 0), line, block.size, FontProperties(family=list(block.families)))
    placed = Affine2D().scale(1 / _POINTS, -1 / _POINTS).translate(left, baseline)
    return PathPatch(path.transformed(placed), facecolor=color, linewidth=0)


def new_page(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a figure and axes whose coordinates are inches from the upper left corner."""
    figure = blank_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    return figure, axes


@cache
def _renderer() -> Any:
    figure = blank_figure(1, 1)
    figure.set_dpi(300)
    return figure.canvas.get_renderer()  # type: ignore[attr-defined]  # the canvas of Agg has it


@lru_cache(maxsize=50_000)
def text_width(text: str, families: tuple[str, ...], size: float) -> float:
    """Return the width of a line in inches, as shaped."""
    width, _, _ = _renderer().get_text_width_height_descent(
        text, FontProperties(family=list(families), size=size), False
    )
    return float(width) / 300 * 1.01


def _wrap(paragraph: str, width: float, families: tuple[str, ...], size: float) -> Iterator[str]:
    """Yield lines; what is broken off keeps the indentation, as in code."""
    indent = paragraph[: len(paragraph) - len(paragraph.lstrip(" "))]
    line = ""
    for piece in _pieces(paragraph):
        if text_width(line + piece.rstrip(), families, size) <= width:
            line += piece
            continue
        if line.strip():
            yield line.rstrip()
            line = indent
        for cluster in _clusters(piece):
            if line.strip() and text_width(line + cluster, families, size) > width:
                yield line
                line = indent
            line += cluster
    yield line.rstrip()


def _pieces(text: str) -> Iterator[str]:
    """Yield words with the space after them; East Asian characters and parts with a hyphen are their own words."""
    word = ""
    for character in text:
        if word and _may_break(word, character) and not _hangs(character):
            yield word
            word = ""
        word += character
    if word:
        yield word


def _may_break(word: str, after: str) -> bool:
    before = word[-1]
    hyphen = before == "-" and word[-2:-1].isalnum() and after.isalnum()
    return hyphen or _is_ideograph(after) or _is_ideograph(before) or (before == " " and after != " ")


def _is_ideograph(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF" and unicodedata.category(character) == "Lo"


def _hangs(character: str) -> bool:
    """Return whether a character may not begin a line."""
    return unicodedata.category(character) in ("Pe", "Pf", "Po", "Mn", "Mc", "Me") and character not in "\"'#@&%*/\\"


def _clusters(text: str) -> Iterator[str]:
    """Yield characters with the marks on them; joiners and viramas hold the next letter too."""
    cluster = ""
    for character in text:
        joined = unicodedata.category(character)[0] == "M" or character in "\u200c\u200d"
        held = cluster and (cluster[-1] == "\u200d" or unicodedata.combining(cluster[-1]) == 9)
        if cluster and not joined and not held:
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster
