"""Engines that translate, by the name that ``--engine`` gives."""

from __future__ import annotations

from xmtf.errors import ConfigError
from xmtf.translation.engines.apertium import ApertiumEngine
from xmtf.translation.engines.command import CommandEngine
from xmtf.translation.engines.protocol import Engine

__all__ = ["ENGINES", "Engine", "open_engine"]

ENGINES = {
    "apertium": "the pairs of Apertium that are installed",
    "command:PROGRAM ARGUMENTS": "any program that turns lines into lines; {source} and {target} are the languages",
}
"""How engines are named, and what they are."""


def open_engine(name: str) -> Engine:
    """Return an engine.

    Args:
        name: As :data:`ENGINES` says.

    Raises:
        ConfigError: There is no such engine, or what it needs is not there.
        MissingExtraError: A package that it needs is not installed.
    """
    kind, _, argument = name.partition(":")
    if kind == "command":
        return CommandEngine(argument)
    if name == "apertium":
        return ApertiumEngine()
    known = "\n".join(f"  {each}: {about}" for each, about in ENGINES.items())
    raise ConfigError(f"--engine {name}: there is no such engine; it is one of\n{known}")
