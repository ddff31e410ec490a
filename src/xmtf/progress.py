"""Progress on stderr: a bar on a terminal, one plain line every ten seconds in a log.

Only rank 0 of a distributed run says anything. Nothing is printed while tests or scripts silence it
with ``XMTF_PROGRESS=off``. Lines are records of the standard library's logger ``xmtf``, so a program that takes its
handler away has them where its own go.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Column

from xmtf.text.table import visible

__all__ = ["LEVELS", "LEVEL_VARIABLE", "LOG", "Progress", "say", "set_level", "track", "warn"]

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
LEVEL_VARIABLE = "XMTF_LOG_LEVEL"

_INTERVAL_S = 10.0


class Progress:
    """How far one piece of work has come. Made by :func:`track`."""

    def advance(self, count: float = 1, note: str = "") -> None:
        """Add ``count`` units; ``note`` is shown behind the figures, such as the loss."""

    def set(self, done: float, total: float | None = None, note: str = "") -> None:
        """Set the units done, and their total where it was not known before."""


@contextlib.contextmanager
def track(label: str, total: float | None = None, unit: str = "") -> Iterator[Progress]:
    """Show the progress of the block.

    Args:
        label: What is done, such as ``rendering``.
        total: Units in all, or None where that is not known yet.
        unit: Name of the units, such as ``rows``.
    """
    if _quiet():
        yield Progress()
    elif sys.stderr.isatty():
        with _bar(label, total, unit) as bar:
            yield bar
    else:
        lines = _Lines(label, total, unit)
        yield lines
        lines.finish()


def say(text: str) -> None:
    """Print one line for the person who watches, on stderr."""
    LOG.info(text)


def warn(text: str) -> None:
    """Print one line of something that is not as it should be; it is shown under ``--quiet`` too."""
    LOG.warning(text)


def set_level(level: str) -> None:
    """Set how much is printed, in this process and in those that it starts; one of :data:`LEVELS`."""
    if level != "info" or LEVEL_VARIABLE in os.environ:
        os.environ[LEVEL_VARIABLE] = level
    LOG.setLevel(LEVELS[level])


def _quiet() -> bool:
    return _silenced() or not LOG.isEnabledFor(logging.INFO)


def _silenced() -> bool:
    return os.environ.get("XMTF_PROGRESS") == "off" or os.environ.get("RANK", "0") != "0"


class _Stderr(logging.Handler):
    """Prints records as plain lines on the stderr of the moment; under ``debug`` with time and level."""

    def emit(self, record: logging.LogRecord) -> None:
        if _silenced():
            return
        timed = LOG.isEnabledFor(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s" if timed else None))
        text = "\n".join(visible(line) for line in self.format(record).split("\n"))
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - the one place that speaks


LOG = logging.getLogger("xmtf")
"""The logger of the package; it has its own handler, which programs may take away."""
if not LOG.handlers:
    LOG.addHandler(_Stderr())
    LOG.propagate = False
    LOG.setLevel(LEVELS.get(os.environ.get(LEVEL_VARIABLE, "info"), logging.INFO))


@dataclass(slots=True)
class _Lines(Progress):
    label: str
    total: float | None
    unit: str
    done: float = 0
    note: str = ""
    start: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)

    def advance(self, count: float = 1, note: str = "") -> None:
        self.set(self.done + count, None, note)

    def set(self, done: float, total: float | None = None, note: str = "") -> None:
        self.done, self.note = done, note or self.note
        self.total = total if total is not None else self.total
        if time.monotonic() - self.last >= _INTERVAL_S:
            self.last = time.monotonic()
            self.show()

    def show(self) -> None:
        seconds = time.monotonic() - self.start
        of_total = f"/{self.total:,.0f}" if self.total else ""
        left = f", {(self.total - self.done) * seconds / self.done:.0f} s left" if self.total and self.done else ""
        note = f", {self.note}" if self.note else ""
        say(f"  {self.label}: {self.done:,.0f}{of_total} {self.unit} in {seconds:.0f} s{left}{note}")

    def finish(self) -> None:
        seconds = time.monotonic() - self.start
        note = f", {self.note}" if self.note else ""
        say(f"  {self.label}: {self.done:,.0f} {self.unit}, {seconds:.1f} s{note}")


@contextlib.contextmanager
def _bar(label: str, total: float | None, unit: str) -> Iterator[Progress]:
    counted = 2 * len(f"{total or 0:.0f}") + 1
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),  # in a narrow terminal it gives way, and the note, but not how far the work is
        MofNCompleteColumn(table_column=Column(min_width=counted)),
        TextColumn(unit),
        TimeElapsedColumn(table_column=Column(min_width=7)),
        TimeRemainingColumn(table_column=Column(min_width=7)),
        TextColumn("{task.fields[note]}"),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as rich:
        task = rich.add_task(label, total=total, note="")

        class Bar(Progress):
            note = ""

            def advance(self, count: float = 1, note: str = "") -> None:
                self.note = note or self.note
                rich.update(task, advance=count, note=self.note)

            def set(self, done: float, total: float | None = None, note: str = "") -> None:
                self.note = note or self.note
                rich.update(task, completed=done, total=total, note=self.note)

        yield Bar()
