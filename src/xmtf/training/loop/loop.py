"""The loop: steps, the log, validation, checkpoints, and the ways to stop and resume."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from xmtf.errors import UserError
from xmtf.execution import say, track
from xmtf.recipe.schema import Training
from xmtf.training.checkpoint.saver import Saver
from xmtf.training.checkpoint.state import TrainingProgress
from xmtf.training.loop.events import Log
from xmtf.training.loop.record import Record
from xmtf.training.loop.step import Feed, GlobalBatch, Step, StepOutcome
from xmtf.training.loop.stop import Stopped, Stopper, mark_stop, stop_on_signals
from xmtf.training.loop.validation import Watch
from xmtf.training.planning.memory import peak_memory

__all__ = ["Loop"]


@dataclass(slots=True)
class Loop:
    """Trains a model from wherever it is to the last step.

    Attributes:
        step: Takes one optimizer step; knows how many there are.
        feed: Gives the rows of a step.
        watch: What is measured on the model as it trains, and how often.
        saver: Writes and finds the checkpoints of this training alone.
        stopper: Says when to stop early.
        record: Writes the log.
        progress: How far training has come.
    """

    step: Step
    feed: Feed
    watch: Watch
    saver: Saver
    stopper: Stopper
    record: Record
    progress: TrainingProgress = field(default_factory=TrainingProgress)
    _in_a_row: int = 0

    def __post_init__(self) -> None:
        self.saver.done = self._saved

    @property
    def training(self) -> Training:
        """Section of the recipe."""
        return self.step.training

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return self.step.num_steps

    @property
    def log(self) -> Log:
        """Where events go."""
        return self.record.log

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.saver.folder

    def run(self) -> TrainingProgress:
        """Train to the last step, resuming from the newest checkpoint of this training.

        Raises:
            Stopped: A signal, the kill-switch file or the wall-clock limit asked to stop; a checkpoint is saved.
            UserError: Too many steps in a row were not finite, or the disk is full.
        """
        self._resume()
        try:
            with stop_on_signals(self.stopper), track("training", self.num_steps, "steps") as bar:
                bar.set(self.progress.step)
                if self.progress.step == 0 and self.watch.pace.first:
                    self._validate()
                while self.progress.step < self.num_steps:
                    start = time.monotonic()
                    outcome = self._one_step()
                    speed = self.record.speed
                    self._after_step(outcome)
                    bar.set(self.progress.step, note=self._note(outcome.loss, speed))
                    reason = self.stopper.check(time.monotonic() - start, self.saver.aside_s)
                    if self.step.ranks.agree(reason is not None) and self.progress.step < self.num_steps:
                        self._stop(reason or "another rank received a stop request")
            self.saver.wait()
        finally:
            self.saver.close()
            self.feed.close()
            self.log.close()
        return self.progress

    def _note(self, loss: float, speed: float) -> str:
        return f"loss {loss:.3f}, {speed:,.0f} tokens/s, {peak_memory(self.step.objective.device) / 1e9:.1f} GB"

    def _resume(self) -> None:
        found = self.saver.resume(self.num_steps)
        self.progress = found or self.progress
        self.log.rewind(self.progress.step)
        if found is not None:
            say(f"resuming from {self.saver.path(found)}, step {self.progress.step} of {self.num_steps}")
        elif self.saver.has_others:
            say(f"{self.checkpoints}: no checkpoint of this training; starting at step 0")

    def _one_step(self) -> StepOutcome:
        step = self.progress.step
        self.step.ranks.at(f"step {step + 1}")
        batch = self.feed.get(step, then=step + 1 if step + 1 < self.num_steps else None)
        outcome = self.step(step, batch)
        if not outcome.updated:
            self._skipped(batch, outcome)
        else:
            self._in_a_row = 0
            self.record.add(batch, outcome)
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
            self.record.write_window(self.progress, outcome, self.feed, self.step.objective.device)
        # where a step was skipped the weights may be what is wrong: they do not take the place of good ones
        save = last or (outcome.updated and _due(step, self.training.save_every))
        if last or _due(step, self.watch.pace.every):
            save = self._validate(saves=save)
        if save:
            self.step.ranks.at(f"saving after step {step}")
            self.saver.save(self.progress)

    def _validate(self, *, saves: bool = False) -> bool:
        """Measure the model; return whether its checkpoint is to be saved.

        Args:
            saves: Whether it is saved in any case. Only what is saved can be the best.
        """
        step, watch = self.progress.step, self.watch
        self.step.ranks.at(f"validation after step {step}")
        score = watch(self.step.model, self.step.objective, self.log, step)
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

    def _stop(self, reason: str) -> None:
        path = self.saver.ensure(self.progress)
        mark_stop(self.checkpoints)
        self.log.write("stop", self.progress.step, reason=reason, path=str(path))
        text = f"{reason}: stopped after step {self.progress.step} of {self.num_steps} and saved {path}"
        say(f"{text}; run the same command again to resume from there")
        raise Stopped(text)

    def _skipped(self, batch: GlobalBatch, outcome: StepOutcome) -> None:
        self._in_a_row += 1
        step = self.progress.step + 1
        self.record.write_skipped(step, batch, outcome, self.feed)
        if self._in_a_row >= self.training.max_skipped_steps:
            self._give_up(f"{self._in_a_row} steps in a row, up to step {step}", first=step - self._in_a_row)

    def _give_up(self, when: str, *, first: int) -> NoReturn:
        """End training whose loss is not finite.

        Args:
            when: For how long, in words.
            first: Steps done before the first of them. A checkpoint of that step has the weights that gave it; earlier
                ones were followed by a finite loss.
        """
        good = self.saver.last_before(first)
        found = "there is no good checkpoint" if good is None else f"the last good checkpoint is {good}"
        raise UserError(
            f"training: the loss or its gradient was not finite for {when}; {found}. Lower "
            f"training.optimizer.learning_rate, or look at the rows of the `skipped` events in {self.log.path}"
        )


def _due(step: int, every: int | None) -> bool:
    return bool(every) and step % (every or 1) == 0
