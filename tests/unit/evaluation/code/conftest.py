"""What a program leaves running, seen among the descendants of this process alone: others' processes come and go."""

import contextlib
import ctypes
import os
import time

import psutil
import pytest

_PR_SET_CHILD_SUBREAPER = 36


def alive(processes):
    """Return those that still run."""
    with_states = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            with_states.append((process, process.status()))
    return [process for process, status in with_states if status not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)]


def reap():
    """Take leave of the orphans that came to us and have ended."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if process.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(process.pid, os.WNOHANG)


@pytest.fixture
def survivors():
    """A function: the descendants begun in this test that still run once killed ones have had time to go.

    Orphans come to this process instead of to process 1, so that they count as descendants.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    before = {process.pid for process in psutil.Process().children(recursive=True)}

    def left(wait_s=60):
        deadline = time.monotonic() + wait_s
        while True:
            now = psutil.Process().children(recursive=True)
            found = alive(process for process in now if process.pid not in before)
            reap()
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    yield left
    for process in left(0):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    reap()
    assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0
