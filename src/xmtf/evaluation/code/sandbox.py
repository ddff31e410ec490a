"""Run programs that a model wrote, so that they can neither harm the machine nor fake a pass.

The sandbox needs Linux with user namespaces (the default of most distributions, and of root). It is
tried with a probe before any generation; where it does not hold, code evaluation is refused unless the
user asks for ``unsafe``, which has limits and a deadline but shares files and network with the user.

:mod:`xmtf.evaluation.code.jail` is what runs; it is restarted for each program.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from xmtf.errors import ConfigError
from xmtf.evaluation.code.languages import python
from xmtf.evaluation.code.languages.toolchain import Program, Toolchain
from xmtf.evaluation.code.limits import PATIENCE, Limits
from xmtf.guards.unfinished import sweep_scratch

__all__ = ["Verdict", "require_sandbox", "run_program", "run_programs", "sandbox_fault"]

Outcome = Literal["passed", "failed", "timed out", "broken"]

_START = "import sys; sys.path.append(sys.argv[1]); from jail.launcher import main; main()"
_GRACE_S = 120.0
_PROBE = """
import os, socket
for path in ("/etc/passwd", "/root", "/home", "/proc/1", "/sys"):
    assert not os.path.exists(path) or (path == "/root" and not os.access(path, os.W_OK)), path
for path in ("/usr", "/", os.path.dirname(os.__file__)):
    try:
        open(os.path.join(path, "probe"), "w")
    except OSError:
        continue
    raise AssertionError(path)
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError as error:
    assert error.errno in (99, 101, 113), error
open("/tmp/probe", "w").write("x")
def probe():
    return [(os.getuid() != 0, 2.5), {"x": None}]
"""
_PROBE_TESTS = "assert probe() == [(True, 2.5), {'x': None}] or probe() == [(False, 2.5), {'x': None}]"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program ended.

    Attributes:
        outcome: ``passed`` when its tests ran to their last line; ``broken`` when it could not be started.
        detail: The exception, the signal or the fault.
        clock: Whether it was the clock alone that ended it, so that a busy machine may be to blame.
        apart: Whether the tests ran in a separate process, where the program cannot reach them.
    """

    outcome: Outcome
    detail: str = ""
    clock: bool = False
    apart: bool = False

    @property
    def passed(self) -> bool:
        """Whether it ran to its last line."""
        return self.outcome == "passed"


def run_program(
    toolchain: Toolchain, program: Program, limits: Limits | None = None, *, unsafe: bool = False
) -> Verdict:
    """Judge a program.

    Args:
        toolchain: Of its language.
        program: The program and its tests.
        limits: What it may use.
        unsafe: Limits and deadlines only, on the user's own files and network.
    """
    limits = limits or Limits()
    token = secrets.token_hex(16)
    build = toolchain.build(program, token)
    request = {
        "isolate": not unsafe,
        "shown": [sys.base_prefix, *toolchain.shown],
        "tmp_bytes": limits.tmp_bytes if not build.compile else 1 << 30,
        "environment": {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", **toolchain.environment},  # noqa: S108
        "token": token,
        "patience": PATIENCE,
        "compile_limits": asdict(toolchain.compile_limits(limits)),
        "run_limits": asdict(toolchain.run_limits(limits)),
        **asdict(build),
    }
    longest = PATIENCE * (request["run_limits"]["wall_s"] + len(build.compile) * request["compile_limits"]["wall_s"])
    launcher = getattr(sys, "_base_executable", sys.executable)
    try:
        done = subprocess.run(
            [launcher, "-I", "-S", "-c", _START, str(Path(__file__).parent)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
            timeout=longest + PATIENCE * _GRACE_S,
            check=False,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Verdict("broken", "the launcher does not end")
    except json.JSONDecodeError:
        return Verdict("broken", done.stderr.strip()[-300:] or "the launcher ended without a message")
    return Verdict(answer["outcome"], answer["detail"], answer["clock"], apart=bool(build.tester))


def run_programs(
    programs: Sequence[tuple[Toolchain, Program]],
    limits: Limits | None = None,
    *,
    workers: int = 1,
    unsafe: bool = False,
    ended: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """Judge programs side by side; those that the clock ended once more, one after the other.

    Args:
        programs: Each with the toolchain of its language.
        limits: What each may use.
        workers: How many run at a time.
        unsafe: See :func:`run_program`.
        ended: Called as often as there are programs.
    """

    def run(place: int) -> Verdict:
        verdict = run_program(*programs[place], limits, unsafe=unsafe)
        if not verdict.clock:
            ended()
        return verdict

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        verdicts = list(pool.map(run, range(len(programs))))
    for place, verdict in enumerate(verdicts):
        if verdict.clock:
            verdicts[place] = run_program(*programs[place], limits, unsafe=unsafe)
            ended()
    return verdicts


@cache
def sandbox_fault() -> str:
    """Return why programs cannot be run safely here, or ``""`` where they can."""
    if sys.platform != "linux":
        return "the sandbox needs Linux"
    verdict = run_program(python.find(None), Program("python", _PROBE, _PROBE_TESTS, ("probe",)))
    return "" if verdict.passed else verdict.detail or verdict.outcome


def require_sandbox(*, unsafe: bool) -> None:
    """Refuse to resume where programs cannot be run safely, unless the user says so.

    Raises:
        ConfigError: Says what is missing and what to do.
    """
    sweep_scratch("xmtf-unsafe-", "xmtf-sandbox-")
    fault = "" if unsafe else sandbox_fault()
    if fault:
        raise ConfigError(
            f"programs cannot be run safely here ({fault}); allow user namespaces "
            "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), run on another machine, or give "
            "--unsafe to run them with limits only and with access to your files and network"
        )
