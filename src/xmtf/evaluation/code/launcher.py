"""Runs one untrusted program inside namespaces of its own. Started as a script; imports nothing of xmtf.

Three processes, each trusted less than the one before::

    launcher            outside; writes the id maps, waits, kills at the deadline
      └─ init           process 1 of new user, process, network, mount, IPC and host name namespaces
          └─ program    no capabilities, limits on everything, only an empty /tmp to write to

The kernel kills all that is in the namespaces when init dies, however many processes there are. The
program sees Python and the system's libraries, read-only, and neither a home folder, /proc nor a network.
It passed only if it ran to its end: a token that is handed out after its last line comes back.

Reads a JSON request on stdin (``program``, ``wall_s``, ``cpu_s``, ``memory``, ``processes``, ``file_size``,
``isolate``), writes a JSON verdict on stdout: ``{"outcome": "passed" | "failed" | "timed out" | "broken",
"detail": text}``.
"""
# A script of system calls on plain paths; its /tmp is that of the sandbox.
# ruff: noqa: PTH102, PTH103, PTH110, PTH112, PTH114, PTH115, PTH120, PTH121, PTH123, PTH211, S108

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import json
import os
import platform
import resource
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

CLONE_FLAGS = 0x10000000 | 0x20000000 | 0x40000000 | 0x00020000 | 0x08000000 | 0x04000000
"""New user, process, network, mount, IPC and host name namespaces."""

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_RELATIME = 4096, 16384, 1 << 18, 1 << 21
_ST_RELATIME, _KEPT_FLAGS = 4096, 8 | 1024 | 2048
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_NOBODY = 65534
_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)


class BrokenError(Exception):
    """The sandbox could not be set up; the program did not run."""


def main() -> None:
    """Serve one request."""
    request = json.load(sys.stdin)
    try:
        outcome, detail = _run(request)
    except BrokenError as error:
        outcome, detail = "broken", str(error)
    except OSError as error:
        outcome, detail = "broken", f"{error.strerror} ({error.filename or 'no file'})"
    json.dump({"outcome": outcome, "detail": detail}, sys.stdout)


def _run(request: dict[str, Any]) -> tuple[str, str]:
    verdict_read, verdict_write = os.pipe()
    ready_read, ready_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    deadline = time.monotonic() + request["wall_s"]
    child = os.fork()
    if child == 0:
        os.close(verdict_read)
        _become_init(request, verdict_write, ready_write, mapped_read)
    for end in (verdict_write, ready_write, mapped_read):
        os.close(end)
    try:
        if request["isolate"]:
            if not os.read(ready_read, 1):
                return "broken", os.read(verdict_read, 4096).decode(errors="replace") or "no namespaces"
            _map_ids(child)
            os.write(mapped_write, b"1")
        readable, _, _ = select.select([verdict_read], [], [], max(0.0, deadline - time.monotonic()))
        answer = os.read(verdict_read, 4096).decode(errors="replace") if readable else ""
    finally:
        _kill(child, everything=not request["isolate"])
    if not readable:
        return "timed out", f"after {request['wall_s']:g} s"
    outcome, _, detail = answer.partition(": ")
    return outcome or "failed", detail


def _kill(child: int, *, everything: bool) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL) if everything else os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _map_ids(child: int) -> None:
    """Give the namespace its users: root of it, and nobody where we may (being root outside)."""
    user, group = os.geteuid(), os.getegid()
    both = user == 0
    with open(f"/proc/{child}/setgroups", "w") as stream:
        stream.write("deny")
    for name, outside in (("uid_map", user), ("gid_map", group)):
        lines = f"0 {outside} 1\n" + (f"{_NOBODY} {_NOBODY} 1\n" if both else "")
        with open(f"/proc/{child}/{name}", "w") as stream:
            stream.write(lines)


def _become_init(request: dict[str, Any], verdict: int, ready: int, mapped: int) -> NoReturn:
    """Enter the namespaces, start the program and wait for it; never returns."""
    try:
        if not request["isolate"]:
            os.setsid()
            _report(verdict, _supervise(request, verdict))
        _check(_libc.unshare(CLONE_FLAGS), "unshare")
        os.write(ready, b"1")
        if not os.read(mapped, 1):
            os._exit(1)
        first = os.fork()
        if first:
            _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
            os.close(verdict)
            os.waitpid(first, 0)
            os._exit(0)
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        _enclose(request["root"])
        _drop_privileges()
        _report(verdict, _supervise(request, verdict))
    except (BrokenError, OSError) as error:
        _report(verdict, f"broken: {error}")


def _report(verdict: int, text: str) -> NoReturn:
    os.write(verdict, text.encode()[:4000])
    os._exit(0)


def _enclose(root: str) -> None:
    """Replace the file system by Python, the system's libraries and an empty /tmp."""
    if platform.machine() not in _PIVOT_ROOT:
        raise BrokenError(f"no sandbox for processors of kind {platform.machine()}")
    with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w") as stream:
        stream.write("0")
    sources = [path for path in dict.fromkeys((*_SYSTEM, sys.base_prefix, *_DEVICES)) if os.path.exists(path)]
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in sources:
        _show(path, root)
    os.mkdir(f"{root}/tmp")
    _mount("tmpfs", f"{root}/tmp", "tmpfs", _MS_NOSUID | _MS_NODEV, "size=16m,mode=1777")
    _mount(None, root, None, _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    os.chdir(root)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", 2), "umount")
    os.chdir("/tmp")


def _show(path: str, root: str) -> None:
    """Show a file or folder of the machine at the same place in the sandbox, read-only."""
    target = root + path
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        if any(os.path.samefile(path, f"{root}{shown}") for shown in _SYSTEM if path.startswith(f"{shown}/")):
            return
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(path, target, None, _MS_BIND | _MS_REC)
    if path in _DEVICES:
        return
    kept = os.statvfs(target).f_flag
    flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | (kept & _KEPT_FLAGS)
    _mount(None, target, None, flags | (_MS_RELATIME if kept & _ST_RELATIME else 0))


def _drop_privileges() -> None:
    """Become nobody, without capabilities and without a way to new ones."""
    for capability in range(64):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    with contextlib.suppress(OSError):  # only where the outside could map nobody
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    # Changing the user cleared this one; process 1 must die with the launcher, and be no one's to debug.
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")


def _supervise(request: dict[str, Any], verdict: int) -> str:
    """Start the program, wait until it ends, and say how it ended."""
    token_read, token_write = os.pipe()
    answer_read, answer_write = os.pipe()
    token = secrets.token_hex(16).encode()
    os.write(token_write, token)
    os.close(token_write)
    program = os.fork()
    if program == 0:
        _program(request, token_read, answer_write, keep_out=[verdict, answer_read])
    for end in (token_read, answer_write):
        os.close(end)
    _, status = os.waitpid(program, 0)
    # The program's own children may hold the pipe open: take what is there and do not wait for more.
    readable, _, _ = select.select([answer_read], [], [], 0)
    answer = os.read(answer_read, 4096) if readable else b""
    if answer == token:
        return "passed"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return "timed out: processor time"
        return f"failed: killed by signal {number}"
    return f"failed: {answer.decode(errors='replace') or 'ended before its last line'}"


def _program(request: dict[str, Any], token: int, answer: int, keep_out: list[int]) -> NoReturn:
    for end in keep_out:
        os.close(end)
    null = os.open("/dev/null", os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    limits: dict[int, int] = {
        resource.RLIMIT_CPU: request["cpu_s"],
        resource.RLIMIT_AS: request["memory"],
        resource.RLIMIT_NPROC: request["processes"],
        resource.RLIMIT_FSIZE: request["file_size"],
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    run: Callable[..., None] = exec
    try:
        run(compile(request["program"], "<program>", "exec"), {"__name__": "__main__"})
    except BaseException as error:  # noqa: BLE001 - whatever the program raises, SystemExit too, is its failure
        text = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            os.write(answer, text.encode(errors="replace")[:500])
        os._exit(1)
    os.write(answer, os.read(token, 64))
    os._exit(0)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*texts, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def _check(result: int, what: str) -> None:
    if result != 0:
        raise BrokenError(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
