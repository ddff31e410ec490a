"""A process that renders and checks templates for the server, under limits of time and memory.

Templates are strangers' programs. The sandbox counts what they do; this process is behind it: what takes too long or
too much is killed with it, the answer is one line, and the next request gets a new process. What comes back is JSON, so
that nothing that a template could make of the process becomes code in the server.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import IO

import orjson

from xmtf.errors import TemplateError
from xmtf.json_types import JsonObject

__all__ = ["Worker", "WorkerError"]

_START_S = 120.0
_HEADER = 8
_PROGRAM = ("-m", "xmtf.studio.process.sandboxed")


class WorkerError(TemplateError):
    """A template asked for more than it may, or failed; ``line`` is that of its source."""

    code = "studio-worker"
    remedy = "Try again; a template that takes too long or too much memory is stopped."

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Worker:
    """One process, started when it is first asked, and again after it was killed."""

    def __init__(self, *, limit_s: float, memory_mib: int, program: Sequence[str] = _PROGRAM) -> None:
        """Prepare; nothing is started.

        Args:
            limit_s: Seconds that a request may take.
            memory_mib: What it may need besides what the process has once it is ready.
            program: What Python runs as the process.
        """
        self._limit_s = limit_s
        self._memory_mib = memory_mib
        self._command = [sys.executable, "-P", *program, str(limit_s), str(memory_mib)]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, job: str, *arguments: object) -> JsonObject:
        """Return what a job of :mod:`xmtf.studio.process.sandboxed` answers.

        Args:
            job: Its name.
            arguments: What it is given; pickled.

        Raises:
            WorkerError: It failed, took too long, or needed too much memory.
        """
        request = pickle.dumps((job, arguments))
        with self._lock:
            process = self._ready()
            try:
                _send(process, request)
                answer = _receive(process, time.monotonic() + self._limit_s)
            except TimeoutError:
                self._kill()
                message = f"took longer than {self._limit_s:g} s and was stopped; is there an endless loop?"
                raise WorkerError(message) from None
            except (EOFError, OSError):
                self._kill()
                raise WorkerError(
                    f"needed more than {self._memory_mib:,} MiB of memory or too much time and was stopped"
                ) from None
        if "error" in answer:
            raise WorkerError(str(answer["error"]), answer.get("line"))
        return answer

    def warm(self) -> None:
        """Start the process, so that the first request need not wait for it."""
        with self._lock, contextlib.suppress(WorkerError):
            self._ready()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._kill()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, bufsize=0
        )
        try:
            _receive(self._process, time.monotonic() + _START_S)
        except (TimeoutError, EOFError, OSError):
            self._kill()
            raise WorkerError("the process that renders templates does not start; see the terminal") from None
        return self._process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def frame(data: bytes) -> bytes:
    """Return data with its length before it, as both sides write it."""
    return len(data).to_bytes(_HEADER, "big") + data


def read_frame(stream: IO[bytes]) -> bytes:
    """Read what :func:`frame` wrote.

    Raises:
        EOFError: The other side is gone.
    """
    size = int.from_bytes(_exactly(stream, _HEADER), "big")
    return _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(frame(data))
    while view:
        view = view[os.write(process.stdin.fileno(), view) :]


def _receive(process: subprocess.Popen[bytes], deadline: float) -> JsonObject:
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        chunks = _chunks(process.stdout.fileno(), selector, deadline)
        data = b""
        while len(data) < _HEADER:
            data += next(chunks)
        size = int.from_bytes(data[:_HEADER], "big")
        parts, have = [data[_HEADER:]], len(data) - _HEADER
        while have < size:
            parts.append(next(chunks))
            have += len(parts[-1])
    answer: JsonObject = orjson.loads(b"".join(parts))
    return answer


def _chunks(file: int, selector: selectors.BaseSelector, deadline: float) -> Iterator[bytes]:
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not selector.select(left):
            raise TimeoutError
        chunk = os.read(file, 1 << 20)
        if not chunk:
            raise EOFError
        yield chunk
