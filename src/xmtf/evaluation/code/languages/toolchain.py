"""What every language has: a toolchain that was found here, and how it makes a verdict of a program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.evaluation.code.limits import Limits, StepLimits

__all__ = ["Build", "Program", "Toolchain", "find_command", "halves", "version_of"]

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Program:
    """A program to be judged.

    Attributes:
        language: Name of its language in results, such as ``python``.
        source: The problem's beginning and the completion behind it.
        tests: Text of the tests.
        names: Functions of the program that the tests call, where the tests run in a separate process.
        setup: What the tests need besides: definitions that the problem gives.
    """

    language: str
    source: str
    tests: str
    names: tuple[str, ...] = ()
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """A program made ready for the sandbox.

    Attributes:
        run: Command of the program.
        tester: Command of its tests, or ``()`` where the program runs them itself.
        input: What the tester, or else the program, reads on stdin.
        files: Text of each file, by name in /tmp.
        compile: Commands before.
    """

    run: tuple[str, ...]
    tester: tuple[str, ...] = ()
    input: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    compile: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler or interpreter that was found.

    Attributes:
        language: Name of the language, such as ``python``.
        version: As it names itself, such as ``v20.20.2``.
        build: Makes a program ready; takes the token that it prints when its tests have passed.
        right: A small program that passes.
        fault: A text of it, and what is there in a program that does not pass.
        shown: Files and folders that it needs in the sandbox, besides the system's own.
        environment: Variables.
        slowness: Processor time of its runs alongside that of others, for the start of a virtual machine.
        memory: Bytes that it occupies besides the program's own.
        threads: Threads that it starts by itself.
        address_space: Whether the address space of a run can be limited.
        compile_cpu_s: Seconds of processor time for compiling.
        compile_memory: Bytes for compiling.
    """

    language: str
    version: str
    build: Callable[[Program, str], Build]
    right: Program
    fault: tuple[str, str]
    shown: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    slowness: float = 1.0
    memory: int = 0
    threads: int = 0
    address_space: bool = False
    compile_cpu_s: float = 60.0
    compile_memory: int = 2048 * _MIB

    @property
    def wrong(self) -> Program:
        """A small program that does not pass."""
        return replace(self.right, source=self.right.source.replace(*self.fault))

    def run_limits(self, limits: Limits) -> StepLimits:
        """Return what running the tests may use."""
        return StepLimits(
            cpu_s=limits.cpu_s * self.slowness,
            wall_s=limits.wall_s * self.slowness,
            memory=limits.memory + self.memory,
            address_space=limits.memory + self.memory if self.address_space else None,
            processes=limits.processes + self.threads,
            file_size=limits.file_size,
        )

    def compile_limits(self, limits: Limits) -> StepLimits:
        """Return what compiling may use; the clock's limit is as much longer as that of a run."""
        longer = max(1.0, limits.wall_s / limits.cpu_s)
        return StepLimits(
            cpu_s=self.compile_cpu_s,
            wall_s=self.compile_cpu_s * longer,
            memory=self.compile_memory,
            address_space=None,
            processes=256,
            file_size=512 * _MIB,
            open_files=1024,
        )


def find_command(language: str, *names: str) -> str:
    """Return the real path of the first command of these names.

    Raises:
        ConfigError: None is installed.
    """
    for name in names:
        if path := shutil.which(name):
            return os.path.realpath(path)
    raise ConfigError(f"{language} programs need {names[0]}, which is not installed; install it or exclude them")


def version_of(language: str, *command: str) -> str:
    """Return the first line that a command prints about its version.

    Raises:
        ConfigError: It prints none.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=Path("/"))
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{language}: {' '.join(command)} fails ({error})") from None
    lines = (done.stdout or done.stderr).strip().splitlines()
    if not lines:
        raise ConfigError(f"{language}: {' '.join(command)} prints no version")
    return lines[0]


def halves(token: str) -> tuple[str, str]:
    """Return the part of a token that is compiled into a judge, and the part that it reads when it starts.

    A program would have to find both in its own process: hard, not impossible.
    """
    middle = len(token) // 2
    return token[:middle], token[middle:]
