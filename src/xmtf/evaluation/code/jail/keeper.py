"""Process 1 of the sandbox: compiles, runs, and reports how it ended.

A request passes when its judge ends with status 0 and printed the token of this run. The judge is the tester where
there is one, else the program itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

__all__ = ["Keeper", "give_up", "report_to"]

_TAIL_BYTES = 65536


class Keeper:
    """Works off one request.

    Args:
        request: See :mod:`xmtf.evaluation.code.jail.launcher`.
        report: Takes what happens: a step that begins, at last the outcome.
        cleared: Kills and reaps every process but this one.
    """

    def __init__(
        self, request: Mapping[str, Any], report: Callable[[Mapping[str, Any]], None], cleared: Callable[[], None]
    ) -> None:
        self._request = request
        self._report = report
        self._cleared = cleared

    def work(self) -> None:
        """Write the files, compile, run; report the outcome."""
        request = self._request
        for name, text in request["files"].items():
            os.makedirs(os.path.dirname(os.path.abspath(name)), exist_ok=True)
            with open(name, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
        for command in request["compile"]:
            status, output, errors = self._step("compile", [command], request["compile_limits"], "")
            if status != 0:
                self._end(*_failure("does not compile", status, errors or output))
                return
        for name in request["files"] if request["compile"] else ():
            with contextlib.suppress(OSError):  # tests are not left for the program to read
                os.unlink(name)
        both = [request["run"], request["tester"]] if request["tester"] else [request["run"]]
        status, output, errors = self._step("run", both, request["run_limits"], request["input"])
        if status == 0 and request["token"] in output:
            self._end("passed", "")
        elif status == 0:
            self._end("failed", errors or "ended before its last line")
        else:
            self._end(*_failure("", status, errors or output.strip()))

    def _end(self, outcome: str, detail: str) -> None:
        self._report({"outcome": outcome, "detail": detail[-500:]})

    def _step(
        self, name: str, commands: Sequence[Sequence[str]], limits: Mapping[str, Any], told: str
    ) -> tuple[int, str, str]:
        """Run commands side by side until the last one ends; return its status, what it printed, and its errors.

        The status is negative for a signal. The group's processor time is looked at once more when all has ended, so
        that it does not matter how often the launcher looked.
        """
        self._report({"step": name})
        before = _used_s()
        stdin = _file_of(told)
        null = os.open(os.devnull, os.O_RDWR)
        out, err = os.pipe(), os.pipe()
        calls, answers = os.pipe(), os.pipe()
        children = []
        for place, command in enumerate(commands):
            judge, alone = place == len(commands) - 1, len(commands) == 1
            streams = (stdin, out[1], err[1]) if judge else (null, null, null)
            # As descriptors 3 and 4: what the other one sends, and what it reads.
            ends = () if alone else ((answers[0], calls[1]) if judge else (calls[0], answers[1]))
            children.append(self._start(command, (*streams, *ends), limits))
        for end in (stdin, null, out[1], err[1], *calls, *answers):
            os.close(end)
        status, output, errors = _follow(children[-1], out[0], err[0])
        self._cleared()
        os.close(out[0])
        os.close(err[0])
        used = _used_s() - before
        if status == -signal.SIGXCPU or used > limits["cpu_s"]:
            self._report({"outcome": "timed out", "detail": f"processor time, after {limits['cpu_s']:g} s"})
            os._exit(0)
        return status, output, errors

    def _start(self, command: Sequence[str], streams: Sequence[int], limits: Mapping[str, Any]) -> int:
        child = os.fork()
        if child:
            return child
        try:
            _become(streams, limits)
            os.execve(command[0], list(command), dict(self._request["environment"]))  # noqa: S606
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}".encode())
        finally:
            os._exit(127)


def _become(streams: Sequence[int], limits: Mapping[str, Any]) -> None:
    """Take the streams as descriptors 0, 1, ...; close all others; take on the limits."""
    high = list(streams)
    while min(high) < len(streams):
        high = [os.dup(stream) for stream in high]
    for place, stream in enumerate(high):
        os.dup2(stream, place)
    os.closerange(len(streams), 4096)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    most = {
        resource.RLIMIT_CPU: int(limits["cpu_s"]) + 1,
        resource.RLIMIT_AS: limits["address_space"],
        resource.RLIMIT_NPROC: limits["processes"],
        resource.RLIMIT_FSIZE: limits["file_size"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in most.items():
        if value is not None:
            resource.setrlimit(kind, (value, value))


def _file_of(text: str) -> int:
    """Return a descriptor that reads a text; it lies in no folder, so no one else can open or change it."""
    file = os.memfd_create("input") if hasattr(os, "memfd_create") else os.open("input", os.O_RDWR | os.O_CREAT)
    data = text.encode()
    while data:
        data = data[os.write(file, data) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def _follow(judge: int, out: int, err: int) -> tuple[int, str, str]:
    """Read what the judge prints until it ends; its children may hold the pipes open for longer."""
    tails = {out: b"", err: b""}
    opened = {out, err}
    ended = None
    while ended is None or opened:
        ready, _, _ = select.select(list(opened), [], [], 0 if ended is not None else 0.02)
        for stream in ready:
            piece = os.read(stream, _TAIL_BYTES)
            tails[stream] = (tails[stream] + piece)[-_TAIL_BYTES:]
            if not piece:
                opened.discard(stream)
        if ended is not None and not ready:
            break
        if ended is None:
            found, status = os.waitpid(judge, 0 if not opened else os.WNOHANG)
            ended = os.waitstatus_to_exitcode(status) if found else None
    output, errors = (tails[stream].decode(errors="replace") for stream in (out, err))
    return ended, output, errors.strip()


def _failure(what: str, status: int, errors: str) -> tuple[str, str]:
    how = f"killed by signal {-status}" if status < 0 else errors or f"ended with status {status}"
    return "failed", f"{what}: {how}" if what else how


def _used_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def report_to(stream: int) -> Callable[[Mapping[str, Any]], None]:
    """Return what writes one JSON object a line to a descriptor."""
    return lambda what: _write_line(stream, what)


def _write_line(stream: int, what: Mapping[str, Any]) -> None:
    os.write(stream, json.dumps(what).encode() + b"\n")


def give_up(stream: int, reason: str) -> NoReturn:
    """Report that the sandbox is broken, and end."""
    _write_line(stream, {"outcome": "broken", "detail": reason[-500:]})
    os._exit(0)
