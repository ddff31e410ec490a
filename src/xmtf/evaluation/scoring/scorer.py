"""Metrics of other programs: learnt ones have separate environments (COMET cannot be installed with transformers 5).

The program is started once, without a shell, and is given one JSON line for each answer::

    {"source": "Il pleut.", "answer": "It rains.", "reference": "It is raining.", "language": "en"}

For each it writes one number on its own line. Any other number of lines, a line that is no finite number, and an exit
code other than 0 are errors: a score is never guessed.
"""

from __future__ import annotations

import math
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from xmtf.errors import ConfigError, DataError

__all__ = ["PREFIX", "Asked", "Scorer", "find_scorer"]

PREFIX = "scorer:"
"""Before the name of a scorer, in names of metrics."""
_KIND = "command:"
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that would make a Python of another environment read ours."""
_SAID = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer as a scorer is given it."""

    source: str
    answer: str
    reference: str
    language: str


@dataclass(frozen=True, slots=True)
class Scorer:
    """A program that judges answers.

    Attributes:
        name: What its metric is called.
        command: The program and its arguments.
    """

    name: str
    command: tuple[str, ...]

    @property
    def metric(self) -> str:
        """Name of its metric in scores."""
        return f"{PREFIX}{self.name}"

    @property
    def signature(self) -> str:
        """What makes its numbers comparable, as far as anyone here can tell."""
        return f"command:{shlex.join(self.command)}"

    def score(self, asked: Sequence[Asked]) -> list[float]:
        """Return the number that the program gives each answer.

        Raises:
            ConfigError: It cannot be started, or fails; says what it said last.
            DataError: It does not write one finite number for each line.
        """
        lines = b"".join(
            orjson.dumps({name: getattr(each, name) for name in Asked.__slots__}) + b"\n" for each in asked
        )
        found = self._run(lines).decode("utf-8", errors="replace").splitlines()
        if len(found) != len(asked):
            raise DataError(
                f"--scorer {self.name}: was given {len(asked)} lines and wrote {len(found)}; it must write one number "
                f"per line, and anything else to stderr"
            )
        return [self._number(text, place) for place, text in enumerate(found, start=1)]

    def _run(self, lines: bytes) -> bytes:
        environment = {name: value for name, value in os.environ.items() if name not in _OURS}
        try:
            done = subprocess.run(self.command, input=lines, capture_output=True, env=environment, check=False)
        except OSError as error:
            raise ConfigError(f"--scorer {self.name}: {self.command[0]!r} cannot be started: {error}") from None
        said = done.stderr.decode("utf-8", errors="replace")
        if done.returncode:
            last = " ".join(said.split())[-_SAID:] or "it printed nothing"
            raise ConfigError(f"--scorer {self.name}: ended with code {done.returncode}: {last}")
        sys.stderr.write(said)
        return done.stdout

    def _number(self, text: str, place: int) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise DataError(f"--scorer {self.name}: line {place} of what it wrote is {text[:60]!r}, no finite number")
        return value


def find_scorer(text: str) -> Scorer:
    """Return the scorer that an option names: ``[NAME=]command:PROGRAM ARGUMENTS``.

    >>> find_scorer("comet=command:/envs/comet/bin/python 'my score.py' --gpu 0")
    Scorer(name='comet', command=('/envs/comet/bin/python', 'my score.py', '--gpu', '0'))
    >>> find_scorer("command:bin/score").metric
    'scorer:score'

    Raises:
        ConfigError: It is written otherwise.
    """
    before, kind, after = text.partition(_KIND)
    name = before.removesuffix("=").strip()
    try:
        command = shlex.split(after)
    except ValueError as error:
        raise ConfigError(f"--scorer {text!r}: {error}") from None
    if not kind or not command or (before and not before.endswith("=")) or not (name or not before):
        raise ConfigError(f"--scorer {text!r}: write [NAME=]command:PROGRAM ARGUMENTS, such as comet=command:bin/score")
    return Scorer(name or Path(command[0]).name, tuple(command))
