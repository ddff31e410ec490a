"""The other processes of a command: signs of life, waiting for them, and which one is missing when they do not come.

Every process writes what it is doing into the store where all have met, every two seconds, from its own thread. The
first process reads what all wrote, the others what the first one wrote::

    beat/0    {"beat": 51, "doing": 12, "what": "step 12", "host": "node-1", "process": 4711, "left": false}
    beat/1    {"beat": 51, "doing": 11, "what": "step 11", "host": "node-2", "process": 4712, "left": false}
    cause     what one of them found out, and printed; the others end without a word
    meet/3    how many have come to the third place where all wait

So a process that was killed, stopped or lost with its machine is told from one that is alive and late.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from torch.distributed import DistError

from xmtf.errors import LostProcessError
from xmtf.execution import say
from xmtf.models import torch_private
from xmtf.recipe.sections.processes import Timeouts

__all__ = ["RESUMES", "Peers", "Store", "is_failed_exchange"]

RESUMES = "from the newest checkpoint"
"""Where a training resumes."""

_EVERY_S = 2.0
_LOOK_S = 0.5
_CAUSE = "cause"
_FAILED = (
    "by peer",  # gloo: Connection closed by peer, Connection reset by peer
    "gloo/transport",
    "Timed out waiting",
    "Application timeout caused pair closure",
    "Broken pipe",
    "NCCL error",
    "ncclRemoteError",
    "Watchdog caught collective",
)
"""What messages of torch's exchanges have in them that failed because of another process."""
_LATE = "Timed out waiting"


class Store(Protocol):
    """A store of torch as it is used here; torch says no types of it."""

    def set(self, key: str, value: str, /) -> None:
        """Set a value."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number and return it."""

    def check(self, keys: list[str], /) -> bool:
        """Return whether all keys are there."""

    def multi_get(self, keys: list[str], /) -> list[bytes]:
        """Return values."""

    def compare_set(self, key: str, expected: str, value: str, /) -> bytes:
        """Set a value where the one that is there is as expected, an empty one where there is none; return it."""

    def clone(self) -> Store:
        """Return another client of the same store."""


@dataclass(frozen=True, slots=True)
class _Beat:
    """A sign of life of a process.

    Attributes:
        beat: How many it has given.
        doing: How many things it has begun.
        what: The last of them, in words.
        host: Its machine.
        process: Its id there.
        left: Whether it has ended as it should.
    """

    beat: int = 0
    doing: int = 0
    what: str = "starting"
    host: str = ""
    process: int = 0
    left: bool = False


@dataclass(slots=True)
class _Seen:
    """What this process knows of another one: its last sign, when it came, and whether its silence was mentioned."""

    sign: _Beat
    at: float
    mentioned: bool = False


def is_failed_exchange(error: BaseException) -> bool:
    """Return whether an error is what torch raises where another process is gone or late; gloo has no class for it."""
    if isinstance(error, DistError):
        return True
    wrapped = type(error).__name__ == "CheckpointException"  # of torch.distributed.checkpoint, which is not loaded here
    return (isinstance(error, RuntimeError) or wrapped) and any(part in str(error) for part in _FAILED)


class Peers:
    """The processes of a command, seen from one of them; a context for as long as they work together.

    Args:
        rank: This process.
        size: How many there are.
        store: Where they have met; nothing else may use the same names in it.
        timeouts: How long they wait for each other.
        dumps: Folder for what torch's flight recorders hold when processes lose each other.
        resumes: Where the same command resumes, for the error.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        store: Store,
        timeouts: Timeouts,
        dumps: Path | None = None,
        resumes: str = RESUMES,
    ) -> None:
        self.rank, self.size, self.timeouts = rank, size, timeouts
        self._store, self._dumps, self._resumes = store, dumps, resumes
        self._own = store.clone()  # a client of a store serves one thread at a time
        self._every_s = min(_EVERY_S, timeouts.silence / 5)
        self._lock = threading.Lock()
        self._sign = _Beat(host=platform.node(), process=os.getpid())
        self._since = time.monotonic()
        self._meetings = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="signs of life", daemon=True)

    def __enter__(self) -> Self:
        """Give the first sign of life, wait for those of the others, and watch them from then on."""
        self._beat(self._store)
        self.wait(self.timeouts.start, "the start")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave; where an exchange failed, say which process is missing.

        Raises:
            LostProcessError: Names the process, in the one that finds out first.
            SystemExit: In the others.
        """
        if error is not None and is_failed_exchange(error):
            self._explain(error)
        if isinstance(error, Exception):
            self._blame(f"{self._name(self._sign, self.rank)} ended: {str(error) or type(error).__name__}")
        with contextlib.suppress(DistError), self._lock:
            self._sign = replace(self._sign, left=True, beat=self._sign.beat + 1)
            self._write(self._store)
        self._ended.set()
        self._thread.join()

    def at(self, what: str) -> None:
        """Describe what this process begins to do, such as ``step 12``."""
        with self._lock:
            self._sign = replace(self._sign, doing=self._sign.doing + 1, what=what)
            self._since = time.monotonic()

    def wait(self, seconds: float, what: str = "") -> None:
        """Return when all processes have come here.

        Args:
            seconds: How long to wait.
            what: What is waited for, for the error.

        Raises:
            LostProcessError: Some have not come; names the first of them.
            SystemExit: Another process has said what is wrong.
        """
        self._meetings += 1
        place, start, pause = f"meet/{self._meetings}", time.monotonic(), 0.002
        self._store.set(f"{place}/{self.rank}", "here")
        self._store.add(place, 1)
        while int(self._store.add(place, 0)) < self.size:
            if time.monotonic() - start > seconds:
                missing = [rank for rank in range(self.size) if not self._store.check([f"{place}/{rank}"])]
                self._end(self._late(missing, seconds, what))
            if self._store.check([_CAUSE]):
                raise SystemExit(1)
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_S)

    def _late(self, missing: list[int], seconds: float, what: str) -> str:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        signs = self._signs(self._store, missing[:1])
        sign = signs.get(missing[0], _Beat())
        doing = f"; it is at {sign.what!r}" if sign.host else ", nor given a sign of life"
        where = f" for {what}" if what else ""
        return f"{self._name(sign, missing[0])}{others} has not come within {seconds:,.0f} s{where}{doing}"

    @staticmethod
    def _name(sign: _Beat, rank: int) -> str:
        return f"process {rank}" + (f" ({sign.host}, id {sign.process})" if sign.host else "")

    def _end(self, line: str) -> None:
        """Describe what is wrong, in the first process that finds out.

        Raises:
            LostProcessError: Here.
            SystemExit: Elsewhere.
        """
        self._ended.set()
        self._dump()
        if not self._blame(line):
            raise SystemExit(1)
        raise LostProcessError(f"{line}; the same command resumes {self._resumes}{self._where_dumped()}")

    def _blame(self, line: str) -> bool:
        """Write down what went wrong unless another process has; return whether it is for this one to say."""
        return self._is_first(self._store, line)

    def _is_first(self, store: Store, line: str) -> bool:
        own = f"{self.rank}: {line}"
        try:
            return store.compare_set(_CAUSE, "", own) == own.encode()
        except DistError:  # the store is gone with its machine: everyone speaks
            return True

    def _explain(self, error: BaseException) -> None:
        """Find out why an exchange failed, and end; torchrun's signal to end, which comes meanwhile, is not heeded."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            line = self._missing(late=_LATE in str(error))
        except DistError:
            line = "the machine of the first process is gone, or cannot be reached"
        reason = " ".join(str(error).split("GLHF")[0].split())
        self._end(line or f"an exchange with another process failed ({reason[:300]})")

    def _missing(self, *, late: bool) -> str | None:
        """Return which process is gone or late, or None where that cannot be told."""
        everyone = range(self.size)
        before = self._signs(self._store, everyone)
        end = time.monotonic() + 3 * self._every_s
        while time.monotonic() < end:
            if self._store.check([_CAUSE]):
                return None
            time.sleep(self._every_s / 4)
        after = self._signs(self._store, everyone)
        silent = [rank for rank in everyone if rank != self.rank and self._is_silent(before.get(rank), after.get(rank))]
        if silent:
            sign = after.get(silent[0], _Beat())
            others = f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""
            return f"{self._name(sign, silent[0])}{others} is gone: it gives no sign of life, the last at {sign.what!r}"
        behind = [rank for rank, sign in after.items() if sign.doing < self._sign.doing and not sign.left]
        if late and behind:
            sign = after[behind[0]]
            found = f"{self._name(sign, behind[0])} is alive and has not come: it is at {sign.what!r}"
            return f"{found}, process {self.rank} at {self._sign.what!r}"
        return None

    @staticmethod
    def _is_silent(before: _Beat | None, after: _Beat | None) -> bool:
        return after is None or (not after.left and before is not None and after.beat == before.beat)

    def _signs(self, store: Store, ranks: range | list[int]) -> dict[int, _Beat]:
        """Return the last signs of processes, by rank; of those that gave any."""
        given = [rank for rank in ranks if store.check([f"beat/{rank}"])]
        values = store.multi_get([f"beat/{rank}" for rank in given]) if given else []
        return {rank: _Beat(**json.loads(value)) for rank, value in zip(given, values, strict=True)}

    def _beat(self, store: Store) -> None:
        with self._lock:
            self._sign = replace(self._sign, beat=self._sign.beat + 1)
            self._write(store)

    def _write(self, store: Store) -> None:
        store.set(f"beat/{self.rank}", json.dumps(asdict(self._sign)))

    def _watch(self) -> None:
        """Give signs of life and search for those of the others, until this process leaves."""
        others = [rank for rank in range(self.size) if rank != self.rank] if self.rank == 0 else [0]
        seen = {rank: _Seen(_Beat(), time.monotonic()) for rank in others}
        late_at = -1
        heard = time.monotonic()
        while not self._ended.wait(self._every_s):
            try:
                self._beat(self._own)
                signs = self._signs(self._own, others)
                heard = time.monotonic()
            except DistError:
                if time.monotonic() - heard > self.timeouts.silence:
                    self._give_up("the machine of the first process is gone, or cannot be reached")
                continue
            for rank, sign in signs.items():
                self._look(rank, sign, seen[rank])
            if self.rank == 0 and late_at != self._sign.doing and self._waits_long():
                late_at = self._sign.doing
                self._say_who_is_late(signs)

    def _look(self, rank: int, sign: _Beat, seen: _Seen) -> None:
        """Compare a sign of a process with the last one; mention a long silence, and end after too long a one."""
        now = time.monotonic()
        if sign.beat != seen.sign.beat or sign.left:
            if seen.mentioned:
                self._mention(f"{self._name(sign, rank)} is back")
            seen.sign, seen.at, seen.mentioned = sign, now, False
            return
        silence, name = now - seen.at, self._name(sign, rank)
        if silence > self.timeouts.silence:
            self._give_up(f"{name} gave no sign of life for {silence:,.0f} s, the last at {sign.what!r}")
        if silence > self.timeouts.silence / 4 and not seen.mentioned:
            seen.mentioned = True
            self._mention(f"{name} gives no sign of life, the last {silence:,.0f} s ago at {sign.what!r}")

    def _mention(self, line: str) -> None:
        """Report on the other processes; on the first one, only the second does."""
        if self.rank == 0:
            say(line)
        elif self.rank == 1:
            sys.stderr.write(f"{line}\n")

    def _waits_long(self) -> bool:
        return time.monotonic() - self._since > self.timeouts.step / 2

    def _say_who_is_late(self, signs: dict[int, _Beat]) -> None:
        most = max([self._sign.doing, *(sign.doing for sign in signs.values())])
        behind = [rank for rank, sign in signs.items() if sign.doing < most and not sign.left]
        if behind:
            sign = signs[behind[0]]
            others = f" (and {len(behind) - 1} more)" if len(behind) > 1 else ""
            self._mention(f"waiting for {self._name(sign, behind[0])}{others}: it is at {sign.what!r}")

    def _give_up(self, line: str) -> None:
        """End this process from the watching thread: its main one waits in an exchange that will not end."""
        self._dump()
        if self._is_first(self._own, line):
            end = f"the same command resumes {self._resumes}"
            sys.stderr.write(f"xmtf: {line} (training.timeouts.silence); {end}{self._where_dumped()}\n")
            sys.stderr.flush()
        os._exit(1)

    def _dump(self) -> None:
        """Write what torch's flight recorder holds of this process: which exchanges began, and did not end."""
        if self._dumps is not None:
            with contextlib.suppress(OSError):  # what is wrong is said in any case
                self._dumps.mkdir(parents=True, exist_ok=True)
                (self._dumps / f"rank_{self.rank}").write_bytes(torch_private.dump_flight_recorder())

    def _where_dumped(self) -> str:
        return "" if self._dumps is None else f" (last exchanges of each process: {self._dumps})"

    @property
    def step_timeout(self) -> timedelta:
        """How long groups of processes wait in one exchange."""
        return timedelta(seconds=self.timeouts.step)

    @property
    def checkpoint_timeout(self) -> timedelta:
        """The same of the group that writes checkpoints."""
        return timedelta(seconds=self.timeouts.checkpoint)
