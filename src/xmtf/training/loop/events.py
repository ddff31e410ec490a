"""``log.jsonl``: one event per line, and the sums that its training events are made of."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor

from xmtf.artefacts.event_log import append_event, read_event
from xmtf.execution import warn
from xmtf.files import atomic_path

__all__ = ["TRAINING_EVENTS", "GroupLosses", "Log", "Tracker", "Window", "scalars"]

TRAINING_EVENTS = ("train", "validation", "measure", "selection", "checkpoint", "skipped", "resume", "stop")
"""Events of this room; other events in the same file belong to others and stay."""


class Tracker(Protocol):
    """Takes the numbers of events to where people look at curves."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers that were measured after ``step`` steps."""

    def close(self) -> None:
        """Send what is left; nothing is written afterwards."""


@dataclass(frozen=True, slots=True)
class Log:
    """The log of a run.

    Attributes:
        path: File; made when the first event comes.
        trackers: Get the numbers of every event as well.
    """

    path: Path
    trackers: tuple[Tracker, ...] = ()

    def write(self, event: str, step: int, **values: object) -> None:
        """Append one event."""
        append_event(self.path, {"event": event, "step": step, **values})
        numbers = dict(scalars(event, values)) if self.trackers else {}
        if numbers:
            for tracker in self.trackers:
                tracker.write(step, numbers)

    def close(self) -> None:
        """Close the trackers."""
        for tracker in self.trackers:
            tracker.close()

    def rewind(self, step: int) -> None:
        """Drop training events after ``step`` (0: all of them), so that a resumed run does not tell them twice.

        A line that was changed or cut short, or that a crash or a full disk cut short, is dropped and named.
        """
        if not self.path.exists():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = []
        for number, line in enumerate(lines, start=1):
            event = read_event(line)
            if event is None:
                warn(f"{self.path}: line {number} was cut short or was changed or cut short; it is dropped")
            elif event["event"] not in TRAINING_EVENTS or (step and event["step"] <= step):
                kept.append(line.rstrip(b"\n") + b"\n")
        if kept != lines:
            with atomic_path(self.path) as temporary:
                temporary.write_bytes(b"".join(kept))


def scalars(event: str, values: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    """Yield the finite numbers of an event under names with slashes; a ``group`` is in the name.

    >>> dict(scalars("validation", {"group": "mixture", "loss": 2.5, "loss_by_language": {"fr": 2.0}}))
    {'validation/mixture/loss': 2.5, 'validation/mixture/loss_by_language/fr': 2.0}
    """
    prefix = f"{event}/{values['group']}" if "group" in values else event
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from scalars(f"{prefix}/{key}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}/{key}", float(value)


@dataclass(frozen=True, slots=True)
class GroupLosses:
    """Mean loss by cluster and by language, weighted as the objective weights.

    Attributes:
        loss: Over everything.
        by_cluster: Cluster -> mean loss; clusters that did not occur are left out.
        by_language: Language -> mean loss.
    """

    loss: float
    by_cluster: dict[str, float]
    by_language: dict[str, float]

    @classmethod
    def of(cls, sums_G2: Tensor, names: Sequence[tuple[str, str]]) -> GroupLosses:
        """Return means from the sums of :class:`xmtf.training.loss.objective.MicroLoss`.

        Args:
            sums_G2: ``[G + 1, 2]``: sum of weight x nll, and of weights.
            names: (language, cluster) of each group.
        """
        rows = sums_G2.double().cpu().tolist()
        languages = [language for language, _ in names]
        clusters = [cluster for _, cluster in names]
        total = sum(loss for loss, _ in rows) / max(sum(weight for _, weight in rows), 1e-12)
        return cls(total, _means(clusters, rows), _means(languages, rows))


def _means(keys: Sequence[str], rows: Sequence[Sequence[float]]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for key, (loss, weight) in zip(keys, rows, strict=False):  # the last row is of no group
        entry = sums.setdefault(key, [0.0, 0.0])
        entry[0] += loss
        entry[1] += weight
    return {key: round(loss / weight, 5) for key, (loss, weight) in sorted(sums.items()) if weight > 0}


@dataclass(slots=True)
class Window:
    """What happened since the last training event.

    Attributes:
        sums: Sums by group, or None before the first step.
        real_tokens: Positions that were not padding.
        positions: Positions computed.
        seconds: Wall seconds.
        flops: Useful operations.
        losses: What was minimised, step by step.
    """

    sums: Tensor | None = None
    real_tokens: int = 0
    positions: int = 0
    seconds: float = 0.0
    flops: float = 0.0
    losses: list[float] = field(default_factory=list)

    def add(self, sums_G2: Tensor, real_tokens: int, positions: int, seconds: float, flops: float = 0.0) -> None:
        """Add one step."""
        self.sums = sums_G2 if self.sums is None else self.sums + sums_G2
        self.real_tokens += real_tokens
        self.positions += positions
        self.seconds += seconds
        self.flops += flops
