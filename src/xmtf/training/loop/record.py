"""What a loop writes into the log of its steps: windows of losses, skipped steps with their rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xmtf.execution import warn
from xmtf.training.checkpoint.state import TrainingProgress
from xmtf.training.loop.events import GroupLosses, Log, Window
from xmtf.training.loop.mfu import Meter
from xmtf.training.loop.step import Feed, GlobalBatch, StepOutcome
from xmtf.training.planning.memory import peak_memory

__all__ = ["Record"]

_SHOWN_ROWS = 8
"""Most rows of a skipped step whose examples are logged."""


@dataclass(slots=True)
class Record:
    """Gathers what steps came to, and writes it.

    Attributes:
        log: Where events go.
        meter: Counts useful operations for MFU, or None.
        planned_memory: Bytes that the planner's formulas give this process, or None where nothing was estimated.
        show: Returns the examples of a row of a micro-batch as text.
        window: Steps since the last event of them.
    """

    log: Log
    meter: Meter | None = None
    planned_memory: float | None = None
    show: Callable[[Any, int], list[dict[str, str]]] = lambda batch, row: []
    window: Window = field(default_factory=Window)

    def add(self, batch: GlobalBatch, outcome: StepOutcome) -> None:
        """Take a step into the window."""
        flops = 0.0 if self.meter is None else self.meter.flops(batch)
        self.window.add(outcome.sums, batch.num_real, batch.num_positions, outcome.seconds, flops)
        self.window.losses.append(outcome.loss)

    @property
    def speed(self) -> float:
        """Tokens a second of the window."""
        return self.window.real_tokens / max(self.window.seconds, 1e-9)

    def write_window(self, progress: TrainingProgress, outcome: StepOutcome, feed: Feed, device: Any) -> None:
        """Write the window, if any of its steps counted, and begin another."""
        window, speed, self.window = self.window, self.speed, Window()
        if window.sums is None:
            return
        losses = GroupLosses.of(window.sums, feed.loader.group_names)
        self.log.write(
            "train",
            progress.step,
            loss=round(math.fsum(window.losses) / len(window.losses), 6),
            learning_rate=outcome.learning_rate,
            grad_norm=round(outcome.grad_norm, 5),
            tokens=progress.tokens,
            real_tokens=progress.real_tokens,
            tokens_per_s=round(speed, 1),
            fill=round(window.real_tokens / window.positions, 4),
            mfu=None if self.meter is None else round(self.meter.mfu(window.flops, window.seconds), 4),
            peak_memory_gb=round(peak_memory(device) / 1e9, 3),
            planned_memory_gb=None if self.planned_memory is None else round(self.planned_memory / 1e9, 3),
            seconds=round(progress.seconds, 2),
            loss_by_cluster=losses.by_cluster,
            loss_by_language=losses.by_language,
        )

    def write_skipped(self, step: int, batch: GlobalBatch, outcome: StepOutcome, feed: Feed) -> None:
        """Write which rows of a step gave a loss that is not finite.

        Args:
            step: Steps done, this one counted.
            batch: Its rows.
            outcome: What it came to.
            feed: Where the rows come from.
        """
        losses = outcome.row_losses
        bad = [row for row, loss in enumerate(losses) if not math.isfinite(loss)]
        # of a gradient that alone is not finite, nobody knows the row: those of the greatest losses are shown
        shown = bad or sorted(range(len(losses)), key=lambda row: -losses[row])
        first = (step - 1) * feed.loader.rows_per_step
        self.log.write(
            "skipped",
            step,
            loss=str(outcome.loss),
            grad_norm=str(outcome.grad_norm),
            num_rows=len(bad),
            rows=[{"row": first + row, "examples": self._examples(batch, row)} for row in sorted(shown[:_SHOWN_ROWS])],
        )
        warn(f"step {step}: loss {outcome.loss}, gradient norm {outcome.grad_norm}: skipped without an update")

    def _examples(self, batch: GlobalBatch, row: int) -> list[dict[str, str]]:
        for part, targets in zip(batch.batches, batch.targets, strict=True):
            if row < targets.num_rows:
                return self.show(part, row)
            row -= targets.num_rows
        raise AssertionError("a row in no micro-batch")
