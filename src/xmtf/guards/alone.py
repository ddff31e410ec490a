"""One writer per folder: who works in a folder holds its lock, and a second command is refused in one line."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from xmtf.errors import UserError
from xmtf.guards.unfinished import announced, is_being_written, is_held, lock, sweep

__all__ = ["LOCK", "alone_at", "alone_in", "in_turn", "refuse_others"]

LOCK = ".lock"
"""File in a folder that whoever works there has locked."""
_PATIENCE_S = 1.0
"""How long a lock is waited for: processes of a command that was killed end a moment after it."""
_LOOK_S = 0.05


@contextlib.contextmanager
def alone_in(folder: Path, *, what: str = "run", with_helpers: bool = False, name: str = LOCK) -> Iterator[None]:
    """Hold the lock of a folder, which is made where it is missing: two processes never work in one.

    The lock ends with the process that holds it, also where that is killed. File systems without locks have none. What
    killed processes left in the folder is deleted.

    Args:
        folder: The folder; the lock is a file in it.
        what: What is made there: a ``run``, or what has an ``--out``.
        with_helpers: Others that hold the lock in this way may work next to this process.
        name: The file, where several commands may work in one folder that do different things.

    Raises:
        UserError: Another process holds it, or is about to replace the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / name, _refusal(folder, f"works in this {what} folder", what), shared=with_helpers):
        if is_being_written(folder):
            raise _refusal(folder, f"writes this {what} folder", what)
        if not with_helpers:
            sweep(folder)
        yield


def refuse_others(folder: Path) -> None:
    """Refuse to replace a folder that another process works in, or is about to replace.

    Raises:
        UserError: One does.
    """
    if is_being_written(folder) or is_held(folder / LOCK):
        raise _refusal(folder, "writes there", "out")


@contextlib.contextmanager
def alone_at(folder: Path) -> Iterator[None]:
    """Write files into a folder that keeps no lock of ours: another process that writes there is refused.

    Raises:
        UserError: Another process writes there already.
    """
    with announced(folder):
        refuse_others(folder)
        yield


@contextlib.contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Make one file that several processes want: whoever comes second waits, and then looks whether it is there."""
    while True:
        with announced(path):
            if not is_being_written(path):
                yield
                return
        while is_being_written(path):
            time.sleep(_LOOK_S)
        time.sleep(os.getpid() % 7 * _LOOK_S / 7)  # two that began at once do not meet again


def _refusal(folder: Path, does: str, what: str) -> UserError:
    instead = "give this run another name (name=...)" if what == "run" else "give another folder (--out)"
    return UserError(f"{folder}: another xmtf process {does}; wait for it, or {instead}")


@contextlib.contextmanager
def _locked(path: Path, refusal: UserError, *, shared: bool) -> Iterator[None]:
    with path.open("ab") as stream:
        end = time.monotonic() + _PATIENCE_S
        while lock(stream.fileno(), shared=shared) is False:
            if time.monotonic() > end:
                raise refusal
            time.sleep(_LOOK_S)
        yield
