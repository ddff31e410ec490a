"""The learning rate of every step: a pure function of the step."""

from __future__ import annotations

import math

from xmtf.execution import warn
from xmtf.recipe.schema import Schedule

__all__ = ["check_warmup", "learning_rate"]


def check_warmup(schedule: Schedule, num_steps: int) -> None:
    """Report that a run ends before its learning rate has reached its peak."""
    if schedule.warmup > num_steps:
        warn(
            f"training.schedule.warmup: {schedule.warmup:,} steps are more than the {num_steps:,} of this run, whose "
            f"learning rate ends at {num_steps / schedule.warmup:.0%} of its peak; shorten it"
        )


def learning_rate(step: int, peak: float, schedule: Schedule, num_steps: int) -> float:
    """Return the learning rate of a step.

    Warm-up rises linearly and reaches ``peak`` at its last step; then ``constant`` stays, ``linear`` and
    ``cosine`` fall to ``final_fraction`` of the peak at the last step, ``inverse_sqrt`` falls with the square
    root of the step, counted from the end of the warm-up (T5).

    Peak 1.0, warm-up 2, 6 steps, linear to 0::

        step            0    1    2    3    4    5
        learning rate  .5    1   .75  .5   .25   0

    Args:
        step: From 0.
        peak: Learning rate at the end of the warm-up.
        schedule: Section of the recipe.
        num_steps: Steps of the whole run.
    """
    if step < schedule.warmup:
        return peak * (step + 1) / schedule.warmup
    if schedule.name == "constant":
        return peak
    if schedule.name == "inverse_sqrt":
        return peak * math.sqrt(max(1, schedule.warmup) / (step + 1))
    done = min(1.0, (step + 1 - schedule.warmup) / max(1, num_steps - schedule.warmup))
    left = 1 - done if schedule.name == "linear" else (1 + math.cos(math.pi * done)) / 2
    return peak * (schedule.final_fraction + (1 - schedule.final_fraction) * left)
