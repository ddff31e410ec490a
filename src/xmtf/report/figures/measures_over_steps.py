"""What was measured while training: accuracies and generation scores over steps, as Figure 7 for a run of one's own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xmtf.report.collect import Run
from xmtf.report.figures.models import add_legend
from xmtf.report.figures.style import PALETTE, new_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["draw"]

_MARKERS = "osD^vPX*"
_TITLES = {"rank": "Classification by rank, accuracy %", "generation": "Generation, %"}


def draw(run: Run) -> Figure | None:
    """Draw every suite that was measured while training, one panel a kind.

    A step that was measured again after a resume shows its last value.

    Returns:
        The figure, or None where nothing was measured.
    """
    kinds: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for event in run.log:
        if event["event"] == "measure":
            kinds[event["kind"]][event["group"]][event["step"]] = 100 * event["value"]
    shown = [kind for kind in (*_TITLES, *sorted(kinds)) if kind in kinds]
    shown = list(dict.fromkeys(shown))
    if not shown:
        return None
    figure, axes = new_grid(6.6, 2.5 * len(shown) + 0.4, len(shown), 1, sharex=True)
    lines: list[Line2D] = []
    for kind, place in zip(shown, axes, strict=True):
        for group, values in kinds[kind].items():
            look = len(lines)
            (line,) = place.plot(
                sorted(values),
                [values[step] for step in sorted(values)],
                color=PALETTE[look % len(PALETTE)],
                marker=_MARKERS[look % len(_MARKERS)],
                markersize=4,
                label=group,
            )
            lines.append(line)
        place.set_title(_TITLES.get(kind, kind))
    axes[-1].set_xlabel("step")
    add_legend(figure, lines)
    return figure
