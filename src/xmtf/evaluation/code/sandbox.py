"""Run programs that a model wrote, so that they can neither harm the machine nor fake a pass by leaving early.

The sandbox needs Linux with user namespaces (the default of most distributions, and of root). It is
tried with a probe before any generation; where it does not hold, code evaluation is refused unless the
user asks for ``unsafe``, which has limits and a deadline but shares files and network with the user.

A program could still forge a pass by hunting for the token inside its own process. Nothing that runs
tests in the process of the tested code can rule that out; nothing leaves the sandbox that way either.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from xmtf.errors import ConfigError

__all__ = ["Limits", "Verdict", "require_sandbox", "run_program", "run_programs", "sandbox_fault"]

Outcome = Literal["passed", "failed", "timed out", "broken"]

_LAUNCHER = Path(__file__).with_name("launcher.py")
_GRACE_S = 5.0
_PROBE = """
import os, socket
for path in ("/etc/passwd", "/root", "/home", "/proc/1", "/sys"):
    assert not os.path.exists(path) or (path == "/root" and not os.access(path, os.W_OK)), path
for path in ("/usr", "/", os.path.dirname(os.__file__)):
    try:
        open(os.path.join(path, "probe"), "w")
    except OSError:
        continue
    raise AssertionError(f"could write to {path}")
open("/tmp/probe", "w").write("x")
try:
    socket.create_connection(("127.0.0.1", 9), timeout=0.2)
except OSError as error:
    assert error.errno in (101, 99, 111, None), error
assert os.getppid() == 1
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use.

    Attributes:
        wall_s: Seconds until everything is killed.
        cpu_s: Seconds of processor time of one process.
        memory: Bytes of address space of one process.
        processes: Processes and threads together.
        file_size: Bytes of one file.
    """

    wall_s: float = 3.0
    cpu_s: int = 4
    memory: int = 512 * 2**20
    processes: int = 8
    file_size: int = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program ended.

    Attributes:
        outcome: ``passed`` when it ran to its last line; ``broken`` when it could not be started.
        detail: The exception, the signal or the fault.
    """

    outcome: Outcome
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran to its last line."""
        return self.outcome == "passed"


def run_program(program: str, limits: Limits | None = None, *, unsafe: bool = False) -> Verdict:
    """Run a Python program.

    Args:
        program: Source text; it passes when its last line has run.
        limits: What it may use.
        unsafe: Limits and deadline only, on the user's own files and network.
    """
    limits = limits or Limits()
    told = {name: getattr(limits, name) for name in Limits.__dataclass_fields__}
    with tempfile.TemporaryDirectory(prefix="xmtf-sandbox-") as folder:
        request = {**told, "program": program, "isolate": not unsafe, "root": folder}
        python = getattr(sys, "_base_executable", sys.executable)
        try:
            done = subprocess.run(
                [python, "-I", "-S", str(_LAUNCHER)],
                input=json.dumps(request),
                capture_output=True,
                text=True,
                cwd=folder,
                env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
                timeout=limits.wall_s + _GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict("timed out", f"after {limits.wall_s:g} s")
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError:
        return Verdict("broken", done.stderr.strip()[-300:] or "the launcher said nothing")
    return Verdict(answer["outcome"], answer["detail"])


def run_programs(
    programs: Iterable[str], limits: Limits | None = None, *, workers: int = 1, unsafe: bool = False
) -> Iterator[Verdict]:
    """Run programs side by side; yield their verdicts in order."""
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        yield from pool.map(lambda program: run_program(program, limits, unsafe=unsafe), programs)


@cache
def sandbox_fault() -> str:
    """Return why programs cannot be run safely here, or ``""`` where they can."""
    if sys.platform != "linux":
        return "the sandbox needs Linux"
    verdict = run_program(_PROBE)
    return "" if verdict.passed else verdict.detail or verdict.outcome


def require_sandbox(*, unsafe: bool) -> None:
    """Refuse to go on where programs cannot be run safely, unless the user says so.

    Raises:
        ConfigError: Says what is missing and what to do.
    """
    fault = "" if unsafe else sandbox_fault()
    if fault:
        raise ConfigError(
            f"programs cannot be run safely here ({fault}); allow user namespaces "
            "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), run on another machine, or say "
            "--unsafe to run them with limits only, on your files and network"
        )
