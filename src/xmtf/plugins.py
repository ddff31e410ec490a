"""Plug-ins: metrics, adapters, engines and trackers of other packages, found by their entry points.

A package declares them, and ``pip install`` is all that a user does::

    [project.entry-points."xmtf.metrics"]
    word_count_ratio = "my_package.metrics:word_count_ratio"

Names are read from the packages' metadata; a plug-in is imported when it is used. Built-in names come first: a plug-in
never takes the place of one. A plug-in that cannot be loaded is one line where it is asked for, and nothing elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, get_args

from xmtf.errors import ConfigError
from xmtf.progress import warn

__all__ = ["GROUPS", "Group", "Plugin", "find_plugin", "loaded_versions", "plugins"]

Group = Literal["metrics", "adapters", "engines", "trackers"]
GROUPS: tuple[Group, ...] = get_args(Group)

_LOADED: dict[tuple[str, str], Any] = {}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plug-in, not yet imported.

    Attributes:
        group: What it is.
        name: As recipes, catalogues and options name it.
        package: The package that brings it.
        version: Of the package.
    """

    group: Group
    name: str
    package: str
    version: str
    _entry: EntryPoint

    @property
    def signature(self) -> str:
        """What results name it by, such as ``plugin:my-package==1.2``."""
        return f"plugin:{self.package}=={self.version}"

    def load(self) -> Any:
        """Import it, once in a process.

        Raises:
            ConfigError: It cannot be imported, or cannot be called.
        """
        if (self.group, self.name) not in _LOADED:
            _LOADED[self.group, self.name] = self._import()
        return _LOADED[self.group, self.name]

    def _import(self) -> Any:
        where = f"{self.group.removesuffix('s')} {self.name!r} of the plug-in {self.package} {self.version}"
        try:
            found = self._entry.load()
        except Exception as error:  # noqa: BLE001 - the code of somebody else
            said = " ".join(str(error).split())[:300]
            raise ConfigError(f"{where}: cannot be loaded ({type(error).__name__}: {said})") from None
        if not callable(found):
            raise ConfigError(f"{where}: {self._entry.value} is not a function but {type(found).__name__}")
        return found


@cache
def plugins(group: Group, built_in: Collection[str] = ()) -> dict[str, Plugin]:
    """Return the plug-ins of a group by name.

    Args:
        group: What they are.
        built_in: Our own names, a frozenset; a plug-in of one of these names is left out, in one line on stderr, and so
            is the second of two packages with one name.
    """
    found: dict[str, Plugin] = {}
    for plugin in sorted(_declared(group), key=lambda each: (each.name, each.package)):
        if plugin.name in built_in:
            warn(
                f"plug-in {plugin.package} {plugin.version}: {group} {plugin.name!r} is skipped: the built-in one is "
                f"used"
            )
        elif plugin.name in found:
            first = found[plugin.name].package
            warn(f"plug-in {plugin.package} {plugin.version}: {group} {plugin.name!r} is skipped: {first}'s is used")
        else:
            found[plugin.name] = plugin
    return found


def _declared(group: Group) -> Iterator[Plugin]:
    for entry in entry_points(group=f"xmtf.{group}"):
        if entry.dist is not None:
            yield Plugin(group, entry.name, entry.dist.name, entry.dist.version, entry)


def find_plugin(group: Group, name: str) -> Plugin | None:
    """Return a plug-in whose name is none of ours, or None where there is none."""
    return plugins(group).get(name)


def loaded_versions() -> dict[str, str]:
    """Return package -> version of the plug-ins that this process has used, as results name them."""
    used = [plugin for group in GROUPS for plugin in plugins(group).values() if (group, plugin.name) in _LOADED]
    return {f"plugin:{plugin.package}": plugin.version for plugin in used}
