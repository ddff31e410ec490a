"""How much of each corpus is in which language (Figure 2)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xmtf.languages.codes import CODE, get_language, normalize_language
from xmtf.report.figures.drawing.models import add_legend
from xmtf.report.figures.drawing.style import new_figure
from xmtf.report.inputs import Inputs, number
from xmtf.report.result_table import ResultTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "published_shares", "short_name"]

_LOOKS = {"xP3": ("#0072B2", "s"), "ROOTS": ("#E69F00", "o"), "mT5": ("#009E73", "^")}
_OWN = ("#D55E00", "*")
_CHINESE = {"zhs": "zh", "zht": "zh"}


def published_shares(inputs: Inputs) -> dict[str, dict[str, float]]:
    """Return corpus -> language -> percent, computed from the published sizes.

    Sizes of xP3 are kilobytes of its files, of ROOTS bytes (both kinds of Chinese together); of mT5's corpus the
    sampling percentages are published themselves. Languages that a corpus lacks are left out.
    """
    shares: dict[str, dict[str, float]] = {}
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in inputs.published("languages"):
        language = _CHINESE.get(row["language"], row["language"])
        if row["unit"] == "percent":
            shares.setdefault(row["corpus"], {})[language] = number(row, "size", "languages")
        else:
            sums[row["corpus"]][language] += number(row, "size", "languages")
    for corpus, sizes in sums.items():
        total = sum(sizes.values())
        shares[corpus] = {language: 100 * size / total for language, size in sizes.items()}
    return shares


def short_name(code: str) -> str:
    """Return a language's name as short as it stays clear on an axis.

    >>> [short_name(code) for code in ("ar", "zh", "zh-Hant", "code")]
    ['Arabic', 'Chinese', 'Chinese (Traditional)', 'program text']
    """
    if code == CODE:
        return "program text"
    name = get_language(code).name.removesuffix(" (Simplified)")
    for prefix in ("Modern Standard ", "Standard ", "Eastern "):
        name = name.removeprefix(prefix)
    return name


def draw(results: ResultTable, inputs: Inputs) -> Figure | None:
    """Draw each corpus's share of the languages of the first; widely spread ones on a logarithmic axis.

    Returns:
        The figure, or None without a corpus.
    """
    published = published_shares(inputs)
    corpora = {name: published[name] for name in _LOOKS if name in published}
    for row in inputs.own("languages"):
        name = row.get("corpus") or "own mixture"
        share = 100 * number(row, "share", "languages")
        corpora.setdefault(name, {})[normalize_language(row["language"], "languages")] = share
    corpora = {name: shares for name, shares in corpora.items() if any(shares.values())}
    if not corpora:
        return None
    first, *others = corpora
    order = sorted(corpora[first], key=lambda code: (-corpora[first][code], code))
    order += sorted({code for name in others if name not in _LOOKS for code in corpora[name]} - set(order))
    figure, axes = new_figure(max(5.0, 0.21 * len(order) + 1.2), 3.6)
    for name, shares in corpora.items():
        color, marker = _LOOKS.get(name, _OWN)
        known = [(place, shares[code]) for place, code in enumerate(order) if shares.get(code)]
        axes.plot(*zip(*known, strict=True), marker, color=color, markersize=5, linestyle="", label=name)
    for place, code in enumerate(order):
        spread = [shares[code] for shares in corpora.values() if shares.get(code)]
        axes.plot([place, place], [min(spread), max(spread)], color="#CCCCCC", linewidth=1, zorder=1)
    known_shares = [share for shares in corpora.values() for share in shares.values() if share]
    if max(known_shares) > 30 * min(known_shares):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.5f}".rstrip("0").rstrip("."))
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel("% of the corpus")
    axes.set_xticks(range(len(order)), [short_name(code) for code in order], rotation=90, fontsize=7)
    axes.set_xlim(-0.8, len(order) - 0.2)
    axes.grid(axis="x", visible=False)
    add_legend(figure, axes.get_legend_handles_labels()[0])
    return figure
