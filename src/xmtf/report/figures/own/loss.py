"""How the loss fell: each training step, its running mean, and the validations."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xmtf.report.collect import Run
from xmtf.report.figures.drawing.style import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw"]


def draw(run: Run) -> Figure:
    """Draw loss over steps. A step that was repeated after a resume shows its last value."""
    train = {event["step"]: event["loss"] for event in run.log if event["event"] == "train"}
    validation: dict[str, dict[int, float]] = defaultdict(dict)
    for event in run.log:
        if event["event"] == "validation":
            validation[event["group"]][event["step"]] = event["loss"]
    figure, axes = new_figure(6.6, 3.2)
    steps = sorted(step for step, loss in train.items() if loss is not None)
    values = [train[step] for step in steps]
    window = len(values) // 20
    many = window > 1
    color, width = ("#BBBBBB", 0.8) if many else (PALETTE[0], 1.5)
    marker = "" if many else "."
    axes.plot(steps, values, color=color, marker=marker, linewidth=width, label="training, logged steps")
    if many:
        axes.plot(steps, _running_mean(values, window), color=PALETTE[0], label=f"training, mean of {window}")
    for index, (group, losses) in enumerate(sorted(validation.items())):
        points = sorted(losses)
        axes.plot(
            points,
            [losses[step] for step in points],
            "o-",
            color=PALETTE[1 + index],
            markersize=3.5,
            label=f"validation, {group}",
        )
    axes.set_xlabel("step")
    axes.set_ylabel("loss per target (nats per token)")
    axes.set_title("Loss on targets")
    axes.legend()
    return figure


def _running_mean(values: list[float], window: int) -> list[float]:
    """Return the mean of each value and those before it, ``window`` in all where there are as many."""
    parts = (values[max(0, place + 1 - window) : place + 1] for place in range(len(values)))
    return [sum(part) / len(part) for part in parts]
