"""Template files as the studio knows them: bytes with a version, the templates in them, what was there at first.

A version is the hash of a file's bytes. Whoever saves names the version that they saw; where the file has another one
by now, nothing is written.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import TemplateError
from xmtf.studio.place import Served
from xmtf.templates import Template
from xmtf.templates.files.promptsource import TemplateFile, parse_promptsource
from xmtf.text.files import not_utf8, without_mark

__all__ = ["Snapshot", "Stored", "parse", "version_of"]

_KEPT = 256
"""Versions of files that are remembered, to show what changed."""


def version_of(data: bytes) -> str:
    """Return the version of a file with these bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was at one moment.

    Attributes:
        key: Names it to the browser.
        data: Its bytes.
        version: Their hash.
        file: What is in it.
        ids: What names each template to the browser, in the order of the file.
    """

    key: str
    data: bytes
    version: str
    file: TemplateFile
    ids: tuple[str, ...]

    @classmethod
    def of(cls, key: str, data: bytes, file: TemplateFile) -> Snapshot:
        """Return what is known of bytes that were read."""
        return cls(key, data, version_of(data), file, _ids(file))

    def number(self, name: str) -> int:
        """Return which entry of the file an id names.

        Raises:
            TemplateError: None.
        """
        if name not in self.ids:
            raise TemplateError(f"{self.key}: no longer has a template {name!r}; reload the file")
        return self.ids.index(name)

    def template(self, name: str) -> Template:
        """Return a template by its id; see :meth:`number`."""
        return self.file.templates[self.number(name)]


class Stored:
    """What was read of the files, by key and version."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.writing = threading.Lock()
        """Held by whoever changes a file."""
        self._snapshots: OrderedDict[tuple[str, str], Snapshot] = OrderedDict()
        self._first: dict[str, bytes] = {}

    def now(self, served: Served) -> Snapshot:
        """Return a file as it is now.

        Raises:
            TemplateError: It cannot be read.
        """
        with self._lock:
            data = _read(served)
            known = self._snapshots.get((served.key, version_of(data)))
            if known is not None:
                self._first.setdefault(served.key, data)
                return known
            return self._keep(served.key, data, parse(data, served.path))

    def seen(self, key: str, version: str) -> Snapshot | None:
        """Return a version that was shown before, or None."""
        with self._lock:
            return self._snapshots.get((key, version))

    def first(self, served: Served) -> bytes:
        """Return a file as it was when the studio first read it."""
        self.now(served)
        return self._first[served.key]

    def _keep(self, key: str, data: bytes, file: TemplateFile) -> Snapshot:
        snapshot = Snapshot.of(key, data, file)
        self._snapshots[key, snapshot.version] = snapshot
        if len(self._snapshots) > _KEPT:
            self._snapshots.popitem(last=False)
        self._first.setdefault(key, data)
        return snapshot


def parse(data: bytes, path: Path) -> TemplateFile:
    """Return what is in a file of these bytes.

    Raises:
        TemplateError: It is not UTF-8, or no file of templates.
    """
    problem = not_utf8([data])
    if problem is not None:
        raise TemplateError(f"{path}: {problem}")
    return parse_promptsource(without_mark(data).decode("utf-8"), path)


def _read(served: Served) -> bytes:
    try:
        return served.path.read_bytes()
    except OSError as error:
        raise TemplateError(f"{served.path}: cannot be read ({error.strerror or error})") from None


def _ids(file: TemplateFile) -> tuple[str, ...]:
    """Return one id a template: its key, its own id, or its name; a number behind what occurs twice."""
    found: list[str] = []
    for key, template in zip(file.keys, file.templates, strict=True):
        name = key or template.id or f"name:{template.name}"
        found.append(name if name not in found else f"{name}#{len(found)}")
    return tuple(found)
