"""What the page is told of a run; all of it each time, so that nothing of an earlier state can stay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xmtf.watch.answers import ShownAnswer
from xmtf.watch.series import Curve, Series, rounded
from xmtf.watch.stages import Stage
from xmtf.watch.training_log import Line

__all__ = ["Number", "RunState", "RunView", "curves_of", "shown"]

RunState = Literal["not begun", "running", "stopped", "interrupted", "waiting", "finished", "gone"]
Number = float | str | None
"""A number, the name of one that is not finite, or nothing."""


@dataclass(frozen=True, slots=True)
class RunView:
    """A run.

    Attributes:
        place: Among those that are watched.
        name: Short and of this run alone.
        path: As it was given.
        state: ``stopped`` was asked for; ``interrupted`` was not; ``waiting`` has stages that nobody works on.
        says: The state in a few words.
        stage: What is, or was last, worked on.
        stages: All of them.
        done: How much of the stage is done.
        total: Of how much, where that is known.
        unit: What is counted.
        left_s: Seconds that the rest of the stage takes, where that can be said and there is a rest.
        updated: Time of the last change in the folder, in seconds since 1970; None where there is none.
        step: Last step of training.
        steps: Steps in all, where the recipe says so.
        loss: Last training loss.
        validation: Last validation loss.
        speed: Tokens a second of training, or units a second of the stage.
        speed_unit: Which.
        memory: Highest memory in GB.
        planned: What the planner estimated.
        mfu: Useful operations per second over those that the device can do.
        skipped: Steps without an update.
        checkpoint: Step of the last checkpoint.
        curves: Name -> values by step.
        validations: Group -> losses by step.
        measures: Suite -> values by step.
        by_language: Losses of the last validation.
        by_cluster: The same by cluster.
        lines: The last lines of the log.
        answers: The last answers of evaluations.
        notes: What is wrong with the folder, a line each.
    """

    place: int
    name: str
    path: str
    state: RunState
    says: str
    stage: str = ""
    stages: tuple[Stage, ...] = ()
    done: int | None = None
    total: int | None = None
    unit: str = ""
    left_s: float | None = None
    updated: float | None = None
    step: int | None = None
    steps: int | None = None
    loss: Number = None
    validation: Number = None
    speed: Number = None
    speed_unit: str = ""
    memory: Number = None
    planned: Number = None
    mfu: Number = None
    skipped: int = 0
    checkpoint: int | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    validations: Mapping[str, Curve] = field(default_factory=dict)
    measures: Mapping[str, Curve] = field(default_factory=dict)
    by_language: Mapping[str, Number] = field(default_factory=dict)
    by_cluster: Mapping[str, Number] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    answers: tuple[ShownAnswer, ...] = ()
    notes: tuple[str, ...] = ()


def shown(value: float | None) -> Number:
    """Return a number as JSON can hold it.

    >>> shown(float("nan")), shown(float("-inf")), shown(0.123456789), shown(None)
    ('NaN', '-Infinity', 0.123457, None)
    """
    if value is None:
        return None
    if math.isfinite(value):
        return rounded(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def curves_of(series: Mapping[str, Series]) -> dict[str, Curve]:
    """Return the curves of all series that have values."""
    return {name: each.curve() for name, each in series.items() if len(each)}
