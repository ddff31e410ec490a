"""Outside the sandbox: sets it up, and kills what takes too long or too much.

Reads a JSON request on stdin, writes a JSON verdict on stdout. The request::

    isolate             False: limits only, on the user's files and network
    shown               files and folders to show in the sandbox, read-only, at their place
    tmp_bytes           size of /tmp
    environment         variables
    files               {path under /tmp: text}, written first, deleted before the run where there is a compiler
    compile             command lines, one after the other
    run, tester         command line of the program, and of what calls it over pipes (or null)
    input, token        what the judge reads on stdin, and what it prints when all tests passed
    patience            wall limits that a step may take while it computes: a busy machine gives it little time
    *_limits            cpu_s and wall_s of all processes together; memory (bytes that they occupy together);
                        address_space, processes, file_size, open_files of each (null: no limit)

The verdict: ``{"outcome": "passed" | "failed" | "timed out" | "broken", "detail": text, "clock": bool}``; ``clock``
where the clock alone ended it, which may be the fault of a busy machine. The clock ends what waits for as long as the
wall limit; what computes meanwhile, however slowly, is ended after ``patience`` times as long.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from .enclosure import enclose
from .keeper import Keeper, give_up, report_to
from .privileges import NOBODY, drop_privileges, filter_system_calls
from .system import LIBC, BrokenError, check, prctl
from .watch import processes_of, usage_of

__all__ = ["main"]

_NAMESPACES = 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x08000000 | 0x04000000
"""New user, process, network, mount, IPC and host name namespaces."""

_LOOK_S = 0.05
_SET_UP_S = 60.0
_WAITING = 0.005
"""Share of the clock's time below which a step counts as waiting, not as computing."""
_PDEATHSIG, _SUBREAPER = 1, 36

Verdict = dict[str, Any]


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with contextlib.ExitStack() as stack:
        if not request["isolate"]:
            os.chdir(stack.enter_context(_own_folder()))
        try:
            verdict = _serve(request)
        except BrokenError as error:
            verdict = {"outcome": "broken", "detail": str(error)}
        except OSError as error:
            verdict = {"outcome": "broken", "detail": f"{error.strerror} ({error.filename or 'no file'})"}
        os.chdir("/")
    json.dump({"clock": False, **verdict}, sys.stdout)


@contextlib.contextmanager
def _own_folder() -> Iterator[str]:
    """Give a temporary folder that is locked, so that others see that it is in use: they sweep what is not."""
    while True:
        folder = tempfile.mkdtemp(prefix="xmtf-unsafe-")
        file = os.open(folder, os.O_RDONLY)
        with contextlib.suppress(OSError):  # no locks there
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.isdir(folder):
            break
        os.close(file)  # swept before it was locked
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(file)


def _serve(request: dict[str, Any]) -> Verdict:
    if request["isolate"]:  # what the keeper's parent leaves becomes ours, so that we see it end
        prctl(_SUBREAPER, 1, "subreaper")
    reports, reporting = os.pipe()
    ready, is_ready = os.pipe()
    mapped, is_mapped = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reports)
        os.close(is_mapped)
        _become_keeper(request, reporting, is_ready, mapped)
    for end in (reporting, is_ready, mapped):
        os.close(end)
    try:
        if request["isolate"] and os.read(ready, 1):
            _map_ids(child)
            os.write(is_mapped, b"1")
        return _watch(request, child, reports)
    finally:
        _kill(child, isolated=request["isolate"])


def _watch(request: dict[str, Any], child: int, reports: int) -> Verdict:
    """Return the reported outcome, or end what goes beyond its limits."""
    parent = os.getppid()
    step, started, used_before = "set-up", time.monotonic(), 0.0
    looked, used_then = started, 0.0  # when the running wall limit began, and the processor time until then
    limits: dict[str, Any] = {"wall_s": _SET_UP_S, "cpu_s": _SET_UP_S, "memory": None}
    text = b""
    while True:
        used, memory = usage_of(child)
        if used - used_before > limits["cpu_s"]:
            return {"outcome": "timed out", "detail": f"processor time, after {limits['cpu_s']:g} s"}
        if limits["memory"] is not None and memory > limits["memory"]:
            return {"outcome": "failed", "detail": f"more than {limits['memory'] >> 20} MiB of memory"}
        now = time.monotonic()
        if now - looked > limits["wall_s"]:
            waits = used - used_then < _WAITING * (now - looked)
            if waits or now - started > request["patience"] * limits["wall_s"]:
                return _ended_by_clock(step, now - started)
            looked, used_then = now, used
        if os.getppid() != parent:
            return {"outcome": "broken", "detail": "its parent ended"}
        readable, _, _ = select.select([reports], [], [], _LOOK_S)
        if not readable:
            continue
        piece = os.read(reports, 65536)
        if not piece:
            return {"outcome": "broken", "detail": "the keeper ended without a message"}
        *lines, text = (text + piece).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "outcome" in told:
                return dict(told)
            step, started = told["step"], time.monotonic()
            used_before, limits = usage_of(child)[0], request[f"{step}_limits"]
            looked, used_then = started, used_before


def _ended_by_clock(step: str, seconds: float) -> Verdict:
    if step == "set-up":
        return {"outcome": "broken", "detail": f"not set up after {seconds:.0f} s"}
    return {"outcome": "timed out", "detail": f"the clock, after {seconds:.0f} s", "clock": True}


def _kill(child: int, *, isolated: bool) -> None:
    if not isolated:
        for process in processes_of(child)[1:]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if isolated:
        _reap()  # process 1 of the namespaces dies with the child, and has ended when all within them have


def _map_ids(child: int) -> None:
    """Give the namespace its users: root of it, and nobody where we may (being root outside)."""
    user, group = os.geteuid(), os.getegid()
    both = user == 0
    _write(f"/proc/{child}/setgroups", "deny")
    for name, outside in (("uid_map", user), ("gid_map", group)):
        _write(f"/proc/{child}/{name}", f"0 {outside} 1\n" + (f"{NOBODY} {NOBODY} 1\n" if both else ""))


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as stream:
        stream.write(text)


def _become_keeper(request: dict[str, Any], reporting: int, is_ready: int, mapped: int) -> NoReturn:
    """Enter the namespaces and work the request off; never returns."""
    try:
        if request["isolate"]:
            _enter_namespaces(is_ready, mapped, reporting)
            # No namespaces within: a kernel with fewer ways in is a safer one.
            with contextlib.suppress(OSError):
                _write("/proc/sys/user/max_user_namespaces", "0")
            enclose(request["shown"], request["tmp_bytes"])
            drop_privileges()
            filter_system_calls()
        else:
            os.setsid()
            if sys.platform == "linux":  # daemons become ours, so that they can be ended
                prctl(_SUBREAPER, 1, "subreaper")
        Keeper(request, report_to(reporting), _clear if request["isolate"] else _clear_unsafe).work()
    except BrokenError as error:
        give_up(reporting, str(error))
    except OSError as error:
        give_up(reporting, f"{error.strerror} ({error.filename or 'no file'})")
    os._exit(0)


def _enter_namespaces(is_ready: int, mapped: int, reporting: int) -> None:
    """Return in process 1 of new namespaces; the process that came here waits for its end."""
    check(LIBC.unshare(_NAMESPACES), "unshare")
    os.write(is_ready, b"1")
    if not os.read(mapped, 1):
        os._exit(1)
    first = os.fork()
    if first:
        prctl(_PDEATHSIG, signal.SIGKILL, "pdeathsig")
        os.close(reporting)
        os.waitpid(first, 0)
        os._exit(0)
    prctl(_PDEATHSIG, signal.SIGKILL, "pdeathsig")


def _clear() -> None:
    """Kill and reap every other process of the namespace."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    _reap()


def _clear_unsafe() -> None:
    """Kill and reap every process that was started from here, daemons too."""
    while others := processes_of(os.getpid())[1:]:
        for process in others:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        _reap()


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
