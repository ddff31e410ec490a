"""Languages that a corpus holds without meaning to (Figure 11): what identification finds against what was declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xmtf.languages.codes import normalize_language
from xmtf.report.figures.drawing.style import new_grid
from xmtf.report.figures.published.language_shares import published_shares, short_name
from xmtf.report.inputs import Inputs, number
from xmtf.report.reference import evaluation_sets
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_LOOKS = {
    "identified": ("#D55E00", "o"),
    "reliable only": ("#7A4FBF", "d"),
    "declared": ("#0072B2", "s"),
    "mT5": ("#009E73", "^"),
}
_MOST = 30
Shares = dict[str, dict[str, float]]


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw shares of identified, declared and mT5's languages: declared ones left, undeclared ones right.

    Names in bold are the languages of the evaluation that BLOOM was not meant to know.

    Returns:
        The figure, or None without identified languages.
    """
    shares = _own(inputs) or _published(inputs)
    if not shares:
        return None
    identified = shares["identified"]
    declared = [code for code in shares["declared"] if shares["declared"][code] > 0]
    unseen = {normalize_language(known.subset) for known in evaluation_sets().values() if not known.seen}
    left = sorted(declared, key=lambda code: -shares["declared"][code])[:_MOST]
    rest = sorted((code for code in identified if code not in declared), key=lambda code: -identified[code])
    right = [code for place, code in enumerate(rest) if place < _MOST - len(unseen) or code in unseen]
    panels = [panel for panel in (("declared in the corpus", left), ("not declared", right)) if panel[1]]
    figure, axes = new_grid(4.0 * len(panels), 0.17 * max(len(codes) for _, codes in panels) + 1.2, 1, len(panels))
    for place, (title, codes) in zip(axes, panels, strict=True):
        _panel(place, codes, shares, unseen)
        place.set_title(title)
    handles, labels = axes[-1].get_legend_handles_labels()
    more, names = axes[0].get_legend_handles_labels()
    entries = dict(zip([*labels, *names], [*handles, *more], strict=True))
    order = [name for name in _LOOKS if name in entries]
    figure.legend([entries[name] for name in order], order, loc="outside lower center", ncols=4)
    return figure


def _published(inputs: Inputs) -> Shares:
    rows = inputs.published("identified")
    if not rows:
        return {}
    corpora = published_shares(inputs)
    merged: dict[str, float] = {}
    for row in rows:
        code = normalize_language(row["language"], "identified")
        merged[code] = merged.get(code, 0.0) + number(row, "percent", "identified")
    return {"identified": merged, "declared": corpora["ROOTS"], "mT5": corpora["mT5"]}


def _own(inputs: Inputs) -> Shares:
    rows = [row for row in inputs.own("identified") if row["language"]]
    if not rows:
        return {}
    columns = {"identified": "percent", "reliable only": "percent_reliable", "declared": "percent_declared"}
    return {
        name: {row["language"]: number(row, column, "identified") if column in row else 0.0 for row in rows}
        for name, column in columns.items()
    }


def _panel(axes: Axes, codes: list[str], shares: Shares, unseen: set[str]) -> None:
    for name, by_language in shares.items():
        known = [(by_language[code], place) for place, code in enumerate(codes) if by_language.get(code)]
        if known:
            color, marker = _LOOKS[name]
            axes.plot(*zip(*known, strict=True), marker, color=color, markersize=4.5, linestyle="", label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("% of the corpus")
    axes.set_yticks(range(len(codes)), [short_name(code) for code in codes], fontsize=7)
    for label, code in zip(axes.get_yticklabels(), codes, strict=True):
        label.set_fontweight("bold" if code in unseen else "normal")
    axes.set_ylim(len(codes) - 0.3, -0.7)
    axes.tick_params(axis="y", length=0)
