"""The loop: steps, the log, validation, checkpoints, and the ways to stop and go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from xmtf.errors import UserError
from xmtf.execution import say, track
from xmtf.recipe.schema import Training
from xmtf.run_folder import stop_file
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.saver import Saver
from xmtf.training.checkpoint.state import TrainingProgress
from xmtf.training.loop.events import GroupLosses, Log, Window
from xmtf.training.loop.mfu import Meter
from xmtf.training.loop.step import Feed, GlobalBatch, Step, StepOutcome
from xmtf.training.loop.stop import Stopped, Stopper, stop_on_signals
from xmtf.training.loop.validation import Pace, Watch
from xmtf.training.planning.memory import peak_memory

__all__ = ["Loop"]

_SHOWN_ROWS = 8
"""Most rows of a skipped step whose examples are logged."""


@dataclass(slots=True)
class Loop:
    """Trains a model from wherever it is to the last step.

    Attributes:
        step: Takes one optimizer step.
        feed: Gives the rows of a step.
        watch: What is measured on the model as it trains.
        training: Section of the recipe.
        pace: How often that is.
        num_steps: Steps of the whole run.
        saver: Writes checkpoints; its fingerprint names this training: only its checkpoints are gone on from.
        log: Where events go.
        show: Returns the examples of a row of a micro-batch as text, for the log of skipped steps.
        meter: Counts useful operations for MFU, or None.
        started: When the wall clock of ``wall_clock_limit`` began, of ``time.monotonic``.
    """

    step: Step
    feed: Feed
    watch: Watch
    training: Training
    pace: Pace
    num_steps: int
    saver: Saver
    log: Log
    show: Callable[[Any, int], list[dict[str, str]]] = lambda batch, row: []
    meter: Meter | None = None
    started: float = field(default_factory=time.monotonic)
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    _window: Window = field(default_factory=Window)
    _in_a_row: int = 0

    def __post_init__(self) -> None:
        self.saver.done = self._saved

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.saver.folder

    @property
    def fingerprint(self) -> str:
        """Names this training."""
        return self.saver.fingerprint

    @property
    def _model(self) -> nn.Module:
        model: nn.Module = self.step.model
        return model

    def run(self) -> TrainingProgress:
        """Train to the last step, going on from the newest checkpoint of this training.

        Raises:
            Stopped: A signal, the kill-switch file or the wall-clock limit asked to stop; a checkpoint is saved.
            UserError: Too many steps in a row were not finite, or the disk is full.
        """
        self._resume()
        stopper = Stopper(stop_file(self.checkpoints), self.training.wall_clock_limit, self.started)
        try:
            with stop_on_signals(stopper), track("training", self.num_steps, "steps") as bar:
                bar.set(self.progress.step)
                if self.progress.step == 0 and self.pace.first:
                    self._validate()
                while self.progress.step < self.num_steps:
                    start = time.monotonic()
                    outcome = self._one_step()
                    speed = self._window.real_tokens / max(self._window.seconds, 1e-9)
                    self._after_step(outcome)
                    bar.set(self.progress.step, note=self._note(outcome.loss, speed))
                    reason = stopper.check(time.monotonic() - start, self.saver.aside_s)
                    if self.step.ranks.agree(reason is not None) and self.progress.step < self.num_steps:
                        self._stop(reason or "another rank was asked to stop")
            self.saver.wait()
        finally:
            self.saver.close()
            self.feed.close()
            self.log.close()
        return self.progress

    def _note(self, loss: float, speed: float) -> str:
        return f"loss {loss:.3f}, {speed:,.0f} tokens/s, {peak_memory(self.step.objective.device) / 1e9:.1f} GB"

    def _resume(self) -> None:
        path = checkpoint.find_checkpoint(self.checkpoints, self.fingerprint, self.num_steps, self.step.ranks)
        if path is not None:
            self.progress = checkpoint.load(path, self.step.layout, self.step.optimizer)
        self.log.rewind(self.progress.step)
        if path is not None:
            say(f"going on from {path}, step {self.progress.step} of {self.num_steps}")
        elif checkpoint.list_checkpoints(self.checkpoints):
            say(f"{self.checkpoints}: no checkpoint of this training; beginning at step 0")

    def _one_step(self) -> StepOutcome:
        step = self.progress.step
        batch = self.feed.get(step, then=step + 1 if step + 1 < self.num_steps else None)
        outcome = self.step(step, batch)
        if not outcome.updated:
            self._skipped(batch, outcome)
        else:
            self._in_a_row = 0
            flops = 0.0 if self.meter is None else self.meter.flops(batch)
            self._window.add(outcome.sums, batch.num_real, batch.num_positions, outcome.seconds, flops)
            self._window.losses.append(outcome.loss)
        self.progress = replace(
            self.progress,
            step=step + 1,
            tokens=self.progress.tokens + batch.num_positions,
            real_tokens=self.progress.real_tokens + batch.num_real,
            seconds=self.progress.seconds + outcome.seconds,
            skipped=self.progress.skipped + (not outcome.updated),
        )
        return outcome

    def _after_step(self, outcome: StepOutcome) -> None:
        step, last = self.progress.step, self.progress.step == self.num_steps
        if last or _due(step, self.training.log_every):
            self._write_window(outcome)
        # where a step was skipped the weights may be what is wrong: they do not take the place of good ones
        save = last or (outcome.updated and _due(step, self.training.save_every))
        if last or _due(step, self.pace.every):
            save = self._validate(saves=save)
        if save:
            self.saver.save(self.progress)

    def _write_window(self, outcome: StepOutcome) -> None:
        window, self._window = self._window, Window()
        if window.sums is None:
            return
        losses = GroupLosses.of(window.sums, self.feed.loader.group_names)
        self.log.write(
            "train",
            self.progress.step,
            loss=round(math.fsum(window.losses) / len(window.losses), 6),
            learning_rate=outcome.learning_rate,
            grad_norm=round(outcome.grad_norm, 5),
            tokens=self.progress.tokens,
            real_tokens=self.progress.real_tokens,
            tokens_per_s=round(window.real_tokens / max(window.seconds, 1e-9), 1),
            fill=round(window.real_tokens / window.positions, 4),
            mfu=None if self.meter is None else round(self.meter.mfu(window.flops, window.seconds), 4),
            peak_memory_gb=round(peak_memory(self.step.objective.device) / 1e9, 3),
            seconds=round(self.progress.seconds, 2),
            loss_by_cluster=losses.by_cluster,
            loss_by_language=losses.by_language,
        )

    def _validate(self, *, saves: bool = False) -> bool:
        """Measure the model; return whether its checkpoint is to be saved.

        Args:
            saves: Whether it is saved in any case. Only what is saved can be the best.
        """
        step, watch = self.progress.step, self.watch
        score = watch(self._model, self.step.objective, self.log, step)
        if score is not None and not math.isfinite(score):
            if step == self.num_steps and self._in_a_row:
                when = f"the last {self._in_a_row} steps, nor is that of validation"
                self._give_up(when, first=step - self._in_a_row)
            return saves
        best = self.progress.best if self.progress.best_by == watch.criterion else None
        better = score is not None and step > 0 and (best is None or score > best)
        if better and (saves or self.training.export == "best"):
            self.progress = replace(self.progress, best=score, best_step=step, best_by=watch.criterion)
            self.log.write("selection", step, score=score, by=watch.criterion)
            return True
        return saves

    def _saved(self, progress: TrainingProgress, path: Path) -> None:
        self.log.write("checkpoint", progress.step, path=str(path))
        checkpoint.prune(self.checkpoints, self.fingerprint, self.training.keep_checkpoints, also=progress.best_step)

    def _stop(self, reason: str) -> None:
        self.saver.wait()
        path = checkpoint.checkpoint_path(self.checkpoints, self.progress.step)
        missing = path not in checkpoint.list_checkpoints(self.checkpoints, self.fingerprint)
        if self.step.ranks.agree(missing):
            self.saver.save(self.progress)
            self.saver.wait()
        self.log.write("stop", self.progress.step, reason=reason, path=str(path))
        text = f"{reason}: stopped after step {self.progress.step} of {self.num_steps} and saved {path}"
        say(f"{text}; run the same command again to go on from there")
        raise Stopped(text)

    def _skipped(self, batch: GlobalBatch, outcome: StepOutcome) -> None:
        self._in_a_row += 1
        step, losses = self.progress.step + 1, outcome.row_losses
        bad = [row for row, loss in enumerate(losses) if not math.isfinite(loss)]
        # of a gradient that alone is not finite, nobody knows the row: those of the greatest losses are told
        shown = bad or sorted(range(len(losses)), key=lambda row: -losses[row])
        self.log.write(
            "skipped",
            step,
            loss=str(outcome.loss),
            grad_norm=str(outcome.grad_norm),
            num_rows=len(bad),
            rows=[self._shown_row(batch, row) for row in sorted(shown[:_SHOWN_ROWS])],
        )
        say(f"step {step}: loss {outcome.loss}, gradient norm {outcome.grad_norm}: skipped, nothing was updated")
        if self._in_a_row >= self.training.max_skipped_steps:
            self._give_up(f"{self._in_a_row} steps in a row, up to step {step}", first=step - self._in_a_row)

    def _shown_row(self, batch: GlobalBatch, row: int) -> dict[str, object]:
        """Return what the log tells of a row of the global batch: its number in the order of training, its examples."""
        number = self.progress.step * self.feed.loader.rows_per_step + row
        for part, targets in zip(batch.batches, batch.targets, strict=True):
            if row < targets.num_rows:
                return {"row": number, "examples": self.show(part, row)}
            row -= targets.num_rows
        raise AssertionError("a row of no micro-batch")

    def _give_up(self, when: str, *, first: int) -> NoReturn:
        """End training whose loss is not finite.

        Args:
            when: For how long, in words.
            first: Steps done before the first of them. A checkpoint of that step has the weights that gave it; earlier
                ones were followed by a finite loss.
        """
        whole = checkpoint.list_checkpoints(self.checkpoints, self.fingerprint)
        good = [path for path in whole if checkpoint.read_progress(path).step < first]
        found = f"the last good checkpoint is {good[-1]}" if good else "there is no good checkpoint"
        raise UserError(
            f"training: the loss or its gradient was not finite for {when}; {found}. Lower "
            f"training.optimizer.learning_rate, or look at the rows of the `skipped` events in {self.log.path}"
        )


def _due(step: int, every: int | None) -> bool:
    return bool(every) and step % (every or 1) == 0
