"""What was measured while training: accuracies and generation scores over steps, as Figure 7 for a run of your own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D

from xmtf.report.collect import Run
from xmtf.report.comparison.compare import compared
from xmtf.report.figures.drawing.models import CHANCE_LINE, add_legend, chance_handle
from xmtf.report.figures.drawing.style import PALETTE, new_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw"]

_MARKERS = "osD^vPX*"
_TITLES = {
    "rank": "Classification by rank, accuracy %",
    "generation": "Generation, first metric of each task, of 100",
}
_HEIGHTS = {"rank": 50.0, "generation": 10.0}
"""Where axes end at least: noise of two points should look like it."""

Values = dict[str, dict[int, float]]
"""Suite -> step -> value in percent."""


def draw(run: Run) -> Figure | None:
    """Draw every suite that was measured while training, one panel a kind, from zero.

    A step that was measured again after a resume shows its last value. Dashes are chance, as far as the run's
    results tell it; stars the best checkpoint that was kept.

    Returns:
        The figure, or None where nothing was measured.
    """
    kinds: dict[str, Values] = defaultdict(lambda: defaultdict(dict))
    for event in run.log:
        if event["event"] == "measure":
            kinds[event["kind"]][event["group"]][event["step"]] = 100 * event["value"]
    shown = list(dict.fromkeys(kind for kind in (*_TITLES, *sorted(kinds)) if kind in kinds))
    if not shown:
        return None
    best = next((event["step"] for event in reversed(run.log) if event["event"] == "selection"), None)
    figure, axes = new_grid(6.6, 2.5 * len(shown) + 0.4, len(shown), 1, sharex=True)
    lines: list[Line2D] = []
    for kind, place in zip(shown, axes, strict=True):
        for group, values in kinds[kind].items():
            color, marker = PALETTE[len(lines) % len(PALETTE)], _MARKERS[len(lines) % len(_MARKERS)]
            steps = sorted(values)
            heights = [values[step] for step in steps]
            lines += place.plot(steps, heights, color=color, marker=marker, markersize=4, clip_on=False, label=group)
            if best in values:
                place.plot(best, values[best], "*", color=color, markersize=14, markeredgecolor="white")
        highest = max(value for values in kinds[kind].values() for value in values.values())
        place.set_ylim(0, max(1.12 * highest, _HEIGHTS.get(kind, 0.0)))
        place.set_title(_TITLES.get(kind, kind))
    chances = _chances(run, kinds["rank"]) if "rank" in shown else set()
    for chance in chances:
        axes[shown.index("rank")].axhline(chance, **CHANCE_LINE)
    axes[-1].set_xlabel("step")
    add_legend(figure, [*lines, *([chance_handle()] if chances else ()), *([_star()] if best is not None else ())])
    return figure


def _chances(run: Run, groups: Values) -> set[float]:
    """Return the accuracies of guessing in percent; suites under one figure mostly share one."""
    found = (result for result in compared(run.results) if result.metric == "accuracy" and result.chance is not None)
    return {round(100 * (result.chance or 0.0), 1) for result in found if result.suite in groups}


def _star() -> Line2D:
    return Line2D([], [], color="#444444", marker="*", linestyle="", markersize=10, label="best checkpoint")
