"""What small files of a run folder hold, read again only where they changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from xmtf.errors import XmtfError
from xmtf.json_types import JsonObject
from xmtf.recipe import load_yaml
from xmtf.watch.unchanged import Unchanged

__all__ = ["KeptFiles"]


@dataclass(slots=True)
class KeptFiles:
    """Objects of JSON and YAML files by their path; one that cannot be read, or is not an object, is empty."""

    _known: dict[Path, tuple[Unchanged, JsonObject]] = field(default_factory=dict)

    def json(self, path: Path) -> JsonObject:
        """Return the object of a JSON file."""
        return self._read(path, lambda: orjson.loads(path.read_bytes()))

    def yaml(self, path: Path) -> JsonObject:
        """Return the object of a YAML file."""
        return self._read(path, lambda: load_yaml(path))

    def num_lines(self, path: Path) -> int:
        """Return how many lines a file has."""
        return int(self._read(path, lambda: {"lines": path.read_bytes().count(b"\n")}).get("lines", 0))

    def _read(self, path: Path, read: Callable[[], Any]) -> JsonObject:
        seen, value = self._known.setdefault(path, (Unchanged(), {}))
        if seen.has_changed(path):
            value = {}
            if path.is_file():
                try:
                    found = read()
                except (OSError, ValueError, XmtfError):
                    found = {}
                value = found if isinstance(found, dict) else {}
            self._known[path] = (seen, value)
        return value
