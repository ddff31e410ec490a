"""How much is printed on stderr: ``--quiet``, ``--verbose``, ``--log-level``, before a verb or anywhere behind it."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from xmtf.errors import ConfigError
from xmtf.progress import LEVEL_VARIABLE, LEVELS, set_level

__all__ = ["LogLevel", "Quiet", "Verbose", "take_log_level"]

Level = Literal["debug", "info", "warning", "error"]
Quiet = Annotated[
    bool, typer.Option("--quiet", envvar=[], help="Print only warnings and errors on stderr, no progress bars.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", envvar=[], help="Print more, with timestamps and the origin of errors.")
]
LogLevel = Annotated[Level | None, typer.Option("--log-level", help="Level of messages on stderr; default: info.")]

_NAMES = {"--quiet": "warning", "--verbose": "debug"}
_GIVEN = os.environ.get(LEVEL_VARIABLE, "info")
_OWN = frozenset({"lint"})
"""Verbs that have a ``--quiet`` of their own."""


def take_log_level(arguments: list[str]) -> list[str]:
    """Set the level that arguments ask for, and return the others.

    Processes that the command starts have the same level, by the environment.

    >>> take_log_level(["run", "demo", "--log-level=info"])
    ['run', 'demo']

    Raises:
        ConfigError: There is no such level.
    """
    names = {} if _OWN & set(arguments) else _NAMES
    rest: list[str] = []
    level = _GIVEN
    left = iter(arguments)
    for argument in left:
        if argument in names:
            level = names[argument]
        elif argument == "--log-level":
            level = next(left, "")
        elif argument.startswith("--log-level="):
            level = argument.partition("=")[2]
        else:
            rest.append(argument)
    if level not in LEVELS:
        raise ConfigError(f"--log-level {level}: is not one of {', '.join(LEVELS)}")
    set_level(level)
    return rest
