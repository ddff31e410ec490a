"""``log.jsonl`` of a run as it grows: curves, the last numbers, checkpoints, lines for people."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from xmtf.artefacts.event_log import read_event
from xmtf.json_types import JsonObject
from xmtf.watch.events import ROLLED_BACK, describe, is_step, number
from xmtf.watch.growing import GrowingFile
from xmtf.watch.series import Series

__all__ = ["Line", "TrainingLog"]

_LINES = 200
"""Last lines that the page shows."""
_CURVES = {
    "loss": "loss",
    "speed": "tokens_per_s",
    "memory": "peak_memory_gb",
    "planned": "planned_memory_gb",
    "rate": "learning_rate",
    "gradient": "grad_norm",
}
"""Name of a curve -> its key in training events."""
_MAY_BE_NULL = ("loss", "grad_norm")
"""Keys of which null is a number that is not finite; of others it is one that nobody measured."""
_MEASURED = ("train", "validation", "measure", "skipped")
"""Events that say how far training is; checkpoints may be written, and reported, later than the steps after them."""
_TRAINING = (*_MEASURED, "checkpoint", "selection", "stop")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log for people.

    Attributes:
        kind: Of its event.
        text: What it says.
    """

    kind: str
    text: str


@dataclass(slots=True)
class TrainingLog:
    """What the events of a log come to.

    A run that was killed has written events after its last checkpoint. Where they still are in the log when the same
    steps come again, those that came before count no longer: a step is measured again, or lies before one that was.

    Attributes:
        file: The log.
        curves: Name -> values of training events.
        validation: Group -> its losses.
        measures: Suite -> its values.
        skipped: Steps without an update.
        latest: The last training event.
        by_language: Losses by language of the last validation of the first group.
        by_cluster: The same by cluster.
        checkpoints: Steps of checkpoints.
        stopped: Why training was stopped, where that is the last that was said.
        stages: Stage -> its seconds, of those that are done.
        step: Last step that anything was measured at; -1 before training.
        events: The last events.
        damaged: Lines that were changed or cut short.
        behind: Bytes that were not read yet.
        is_torn: The last line is not whole.
    """

    file: GrowingFile
    curves: dict[str, Series] = field(default_factory=lambda: {name: Series() for name in _CURVES})
    validation: dict[str, Series] = field(default_factory=dict)
    measures: dict[str, Series] = field(default_factory=dict)
    skipped: Series = field(default_factory=Series)
    seconds: Series = field(default_factory=Series)
    latest: JsonObject = field(default_factory=dict)
    by_language: dict[str, float] = field(default_factory=dict)
    by_cluster: dict[str, float] = field(default_factory=dict)
    checkpoints: Series = field(default_factory=Series)
    stopped: str | None = None
    stages: dict[str, float] = field(default_factory=dict)
    step: int = -1
    events: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=_LINES))
    damaged: int = 0
    behind: int = 0
    is_torn: bool = False

    @property
    def lines(self) -> list[Line]:
        """The last events for people."""
        return [Line(event["event"], describe(event)) for event in self.events]

    def refresh(self, most: int) -> bool:
        """Read on, about ``most`` bytes; return whether anything changed.

        Raises:
            OSError: The log cannot be read.
        """
        new = self.file.read(most)
        if new.anew:
            self._forget()
        for line in new.lines:
            event = _event(line)
            if event is None:
                self.damaged += 1
            else:
                self._take(event)
        changed = bool(new.lines) or new.anew or (new.behind, new.is_torn) != (self.behind, self.is_torn)
        self.behind, self.is_torn = new.behind, new.is_torn
        return changed

    def _forget(self) -> None:
        fresh = TrainingLog(self.file)
        for name in TrainingLog.__slots__:
            setattr(self, name, getattr(fresh, name))

    def _measured(self) -> Iterator[Series]:
        yield from self.curves.values()
        yield from self.validation.values()
        yield from self.measures.values()
        yield self.skipped

    def _take(self, event: JsonObject) -> None:
        kind, step = event["event"], event.get("step")
        if kind in _TRAINING:
            if not is_step(step):
                self.damaged += 1
                return
            self._take_training(event, step)
        elif kind == "stage":
            self.stopped = None
            name = str(event.get("stage", ""))
            self.stages[name] = max(number(event, "seconds") or 0.0, self.stages.get(name, 0.0))
        self.events.append(event)

    def _take_training(self, event: JsonObject, step: int) -> None:
        kind = event["event"]
        if kind in _MEASURED:
            self._roll_back(event, step)
            self.step, self.stopped = max(self.step, step), None
            self._measure(event, step)
        elif kind == "checkpoint":
            self.checkpoints.add(step, 0.0)
        elif kind == "stop":
            self.stopped = str(event.get("reason", ""))

    def _roll_back(self, event: JsonObject, step: int) -> None:
        """Drop what training has given up, where an event says of an earlier step, or of one that it has told of."""
        again = self._own(event).last_step >= step
        if not again and step >= self.step:
            return
        for series in [*self._measured(), self.seconds, self.checkpoints]:
            if again:
                series.keep_before(step)
            else:
                series.keep_up_to(step)
        self.step = max(series.last_step for series in self._measured())
        self.events.append({"event": ROLLED_BACK, "step": step})

    def _own(self, event: JsonObject) -> Series:
        group = str(event.get("group", ""))
        if event["event"] == "validation":
            return self.validation.setdefault(group, Series())
        if event["event"] == "measure":
            return self.measures.setdefault(group, Series())
        return self.skipped if event["event"] == "skipped" else self.curves["loss"]

    def _measure(self, event: JsonObject, step: int) -> None:
        kind = event["event"]
        if kind == "train":
            self.latest = event
            for name, key in _CURVES.items():
                value = event.get(key, "")
                if type(value) is not float:  # as nearly all are
                    value = number(event, key) if value is not None or key in _MAY_BE_NULL else None
                if value is not None:
                    self.curves[name].add(step, value)
            self.seconds.add(step, number(event, "seconds") or 0.0)
            return
        value = number(event, "value" if kind == "measure" else "loss")
        if value is not None:
            self._own(event).add(step, value)
        if kind == "validation" and event.get("group") == next(iter(self.validation)):
            self.by_language = _numbers(event.get("loss_by_language"))
            self.by_cluster = _numbers(event.get("loss_by_cluster"))


def _numbers(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    found = {str(key): number(value, key) for key in value}
    return {key: each for key, each in found.items() if each is not None}


def _event(line: bytes) -> JsonObject | None:
    """Read a line; numbers that are not finite may be there as Python's own JSON writes them."""
    event = read_event(line)
    if event is None and (b"NaN" in line or b"Infinity" in line):
        try:
            loose = json.loads(line)
        except ValueError:
            return None
        if isinstance(loose, dict) and isinstance(loose.get("event"), str) and "check" not in loose:
            return loose
    return event
