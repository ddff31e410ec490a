"""All runs that are watched, looked at together however many pages are open."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from starlette.concurrency import run_in_threadpool

from xmtf import __version__
from xmtf.errors import ConfigError
from xmtf.loopback.events import Event
from xmtf.run_folder import RunFolder
from xmtf.watch.run import WatchedRun
from xmtf.watch.view import RunView

__all__ = ["Watcher", "watch_folders"]

_LOOK_S = 1.0
_MOST = 8 * 2**20
"""Bytes of a file that are read at a look; about 40,000 events, half a second."""
_BEAT_LOOKS = 10
"""Looks without news after which the page hears that the server still answers."""


@dataclass(slots=True)
class Watcher:
    """Looks at the runs once a second at most, and knows which have changed.

    Attributes:
        runs: The runs.
        every_s: Seconds between two looks.
        stop: Ends all streams of events; to be set in the server's loop.
    """

    runs: Sequence[WatchedRun]
    every_s: float = _LOOK_S
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _views: dict[int, tuple[int, RunView, bytes]] = field(default_factory=dict)
    _looked: float = -1e9

    def look(self) -> dict[int, tuple[int, RunView]]:
        """Return the number of the state of each run, and the state."""
        with self._lock:
            if time.monotonic() - self._looked >= self.every_s or self.is_behind:
                for run in self.runs:
                    self._look_at(run)
                self._looked = time.monotonic()
            return {place: (version, view) for place, (version, view, _) in self._views.items()}

    def _look_at(self, run: WatchedRun) -> None:
        view = run.look(_MOST)
        written = orjson.dumps(view)
        version, _, before = self._views.get(run.place, (0, view, b""))
        self._views[run.place] = (version + (written != before), view, written)

    @property
    def is_behind(self) -> bool:
        """Whether a file was not read to its end yet."""
        return any(run.behind for run in self.runs)

    async def events(self) -> AsyncIterator[Event]:
        """Yield ``hello``, then ``run`` for each run now and whenever it changed, and ``beat`` where nothing did."""
        yield Event("hello", {"version": __version__, "runs": len(self.runs), "now": time.time()})
        sent: dict[int, int] = {}
        quiet = 0
        while not self.stop.is_set():
            quiet += 1
            for place, (version, view) in (await run_in_threadpool(self.look)).items():
                if sent.get(place) != version:
                    sent[place], quiet = version, 0
                    yield Event("run", {"now": time.time(), "run": view})
            if quiet >= _BEAT_LOOKS:
                quiet = 0
                yield Event("beat", {"now": time.time()})
            if not self.is_behind:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), self.every_s)


def watch_folders(folders: Sequence[Path]) -> list[WatchedRun]:
    """Return the runs of some folders, each once, under short names that differ.

    Raises:
        ConfigError: Something is not a folder, or is one of many runs.
    """
    kept: dict[Path, Path] = {}
    for folder in folders:
        _check(folder)
        kept.setdefault(folder.resolve(), folder)
    paths = list(kept)
    return [
        WatchedRun(folder, place, name)
        for place, (folder, name) in enumerate(zip(kept.values(), _names(paths), strict=True))
    ]


def _check(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; give the folder of a run, such as runs/demo")
    if not folder.is_dir() or RunFolder(folder).is_run:
        return
    runs = sorted(str(path.parent) for path in folder.glob("*/recipe.yaml") if RunFolder(path.parent).is_run)
    if runs and not (folder / ".xmtf.json").exists():
        raise ConfigError(f"{folder}: is a folder of runs; give those to watch: {' '.join(runs[:6])}")


def _names(paths: Sequence[Path]) -> list[str]:
    """Return the last parts of each path, as many as make them differ.

    >>> _names([Path("/a/runs/demo"), Path("/b/runs/demo"), Path("/a/runs/other")])
    ['a/runs/demo', 'b/runs/demo', 'other']
    """
    names = []
    for path in paths:
        for length in range(1, len(path.parts) + 1):
            name = "/".join(path.parts[-length:]).replace("//", "/")
            if sum(other.parts[-length:] == path.parts[-length:] for other in paths) == 1:
                break
        names.append(name)
    return names
