"""The process behind :class:`xmtf.studio.process.worker.Worker`: takes jobs until its input ends, under limits."""

from __future__ import annotations

import pickle
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import orjson

from xmtf.errors import XmtfError
from xmtf.json_types import JsonObject
from xmtf.pandas_later import leave_pandas_out
from xmtf.studio.process.jobs import JOBS
from xmtf.studio.process.worker import frame, read_frame

__all__ = ["main"]

_SPARE_S = 5
"""CPU seconds beyond the limit after which the system ends the process, should the server be gone."""


def main(limit_s: float, memory_mib: int) -> None:
    """Answer jobs."""
    inputs, outputs = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what anything prints is no answer
    leave_pandas_out()  # Arrow would load it at its first array, out of a job's memory
    _limit_memory(memory_mib)
    outputs.write(frame(b"{}"))
    outputs.flush()
    while True:
        try:
            job, arguments = pickle.loads(read_frame(inputs))  # noqa: S301 - the server's own
        except EOFError:
            return
        _limit_time(limit_s)
        outputs.write(frame(orjson.dumps(_answer(JOBS[job], arguments))))
        outputs.flush()


def _answer(job: Callable[..., JsonObject], arguments: tuple[object, ...]) -> JsonObject:
    try:
        return job(*arguments)
    except XmtfError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "needs more memory than allowed"}
    except RecursionError:
        return {"error": "is nested too deeply"}


def _limit_memory(memory_mib: int) -> None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return  # no such system
    size = pages * resource.getpagesize() + memory_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_time(limit_s: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + limit_s + _SPARE_S) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, most))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
