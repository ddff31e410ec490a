"""Ways in which training stops before its last step, each with a checkpoint: signals, a file, a clock."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from xmtf.execution import say

__all__ = ["Stopped", "Stopper", "mark_stop", "refuse_restart", "stop_on_signals"]


class Stopped(KeyboardInterrupt):
    """Training was stopped as asked and a checkpoint was saved; the same command resumes from there."""


@dataclass(slots=True)
class Stopper:
    """Says after every step whether to stop, and why.

    Attributes:
        file: Kill switch: training stops when it exists, and removes it.
        limit_s: Wall seconds after which to stop, or None.
        start: When the clock started, of ``time.monotonic``.
        reason: Why to stop, or None.
    """

    file: Path
    limit_s: float | None = None
    start: float = field(default_factory=time.monotonic)
    reason: str | None = None
    slowest_s: float = 0.0

    def check(self, step_s: float, aside_s: float = 0.0) -> str | None:
        """Return why to stop now, or None.

        Args:
            step_s: Seconds that the last step took, saving included: the limit leaves room for two such steps.
            aside_s: Seconds that saving takes while training continues: there is room for two of those as well, the one
                under way and the last.
        """
        self.slowest_s = max(self.slowest_s, step_s)
        if self.reason is None and self.file.exists():
            self.file.unlink(missing_ok=True)
            self.reason = f"{self.file} requested it"
        if self.reason is None and self.limit_s is not None:
            spent = time.monotonic() - self.start
            if spent + 2 * (self.slowest_s + aside_s) >= self.limit_s:
                self.reason = f"training.wall_clock_limit of {self.limit_s:.0f} s is almost reached"
        return self.reason


_MARK = ".stopped"
"""File in the folder of checkpoints: the launch of torchrun whose training was asked to stop."""


def mark_stop(checkpoints: Path) -> None:
    """Write down that training was asked to stop; torchrun takes that for a failure, after which it starts again."""
    launch = os.environ.get("TORCHELASTIC_RUN_ID")
    if launch is not None and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        (checkpoints / _MARK).write_text(launch, encoding="utf-8")


def refuse_restart(checkpoints: Path) -> None:
    """End processes that torchrun started again although training was asked to stop.

    Raises:
        Stopped: It was.
    """
    mark = checkpoints / _MARK
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        mark.unlink(missing_ok=True)
    elif mark.is_file() and mark.read_text(encoding="utf-8") == os.environ.get("TORCHELASTIC_RUN_ID"):
        raise Stopped("training was asked to stop, and is not started again")


@contextmanager
def stop_on_signals(stopper: Stopper) -> Iterator[None]:
    """Let SIGTERM, SIGHUP and Ctrl-C stop training after the step available; a second Ctrl-C stops at once.

    Outside the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stopper.reason is not None:
            raise KeyboardInterrupt
        stopper.reason = f"{signal.Signals(number).name} was received"
        say("stopping after this step and saving; a second Ctrl-C stops immediately")

    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in wanted if signal.getsignal(number) != signal.SIG_IGN]  # nohup stays as it is
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
