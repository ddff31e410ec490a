"""Keys of recipes that have another name now: the old one works for one minor version, with a warning.

A change of a key's name is an entry of :data:`RENAMED`. Recipes, overrides and the environment may use either name in
the version that brings the new one; from the next minor version on, the old name is an error that says the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xmtf import __version__
from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.progress import warn

__all__ = ["RENAMED", "NewName", "with_new_key", "with_new_keys"]


@dataclass(frozen=True, slots=True)
class NewName:
    """What a key is called now.

    Attributes:
        name: Its new last part; it stays in its section.
        since: Minor version that brought the new name, such as ``0.2``.
    """

    name: str
    since: str

    @property
    def until(self) -> str:
        """The minor version that takes the old name no longer.

        >>> NewName("steps", "0.9").until
        '0.10'
        """
        major, minor = self.since.split(".")
        return f"{major}.{int(minor) + 1}"

    @property
    def is_over(self) -> bool:
        """Whether this version takes the old name no longer."""
        return _parts(__version__) >= _parts(self.until)


RENAMED: Mapping[str, NewName] = {}
"""Dotted old key, ``*`` for any item of a list -> its new name. `docs/command-line.md` promises what this does."""


def with_new_keys(data: JsonObject, source: Path) -> JsonObject:
    """Return the content of a recipe with the new names of its keys; a warning is printed for each old one.

    Raises:
        ConfigError: An old name is no longer taken, or is next to the new one.
    """
    for old, new in RENAMED.items():
        *parents, last = old.split(".")
        for section in _sections(data, parents):
            if last in section:
                _report(f"{source}: ", old, new)
                if new.name in section:
                    raise ConfigError(f"{source}: {old!r} and {new.name!r} are the same key; write only {new.name!r}")
                section[new.name] = section.pop(last)
    return data


def with_new_key(key: str) -> str:
    """Return the dotted key of an override under its new name; as :func:`with_new_keys`."""
    parts = key.split(".")
    for old, new in RENAMED.items():
        names = old.split(".")
        at = len(names) - 1
        if len(parts) > at and all(name in ("*", part) for name, part in zip(names, parts, strict=False)):
            _report("override ", old, new)
            parts[at] = new.name
    return ".".join(parts)


def _report(where: str, old: str, new: NewName) -> None:
    renamed = f"{where}the key {old!r} is called {new.name!r} since {new.since}"
    if new.is_over:
        raise ConfigError(f"{renamed}; write {new.name!r}")
    warn(f"{renamed}; the old name works until {new.until}")


def _sections(data: object, parents: list[str]) -> list[dict[str, Any]]:
    """Return the mappings that a path of keys leads to; ``*`` is every item of a list."""
    found = [data]
    for parent in parents:
        if parent == "*":
            found = [item for each in found if isinstance(each, list) for item in each]
        else:
            found = [each[parent] for each in found if isinstance(each, dict) and parent in each]
    return [each for each in found if isinstance(each, dict)]


def _parts(version: str) -> tuple[int, ...]:
    """Return major and minor version, which compare as numbers."""
    return tuple(int(part) for part in version.split(".")[:2])
