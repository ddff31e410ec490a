"""Whether a file is the one of the last look."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Unchanged"]


@dataclass(slots=True)
class Unchanged:
    """Remembers a file by its inode, size and times."""

    _seen: tuple[int, ...] | None = None

    def has_changed(self, path: Path) -> bool:
        """Return whether a file is another one than at the last call; one that came or went is."""
        now: tuple[int, ...] = ()
        with contextlib.suppress(OSError):
            about = path.stat()
            now = (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
        before, self._seen = self._seen, now
        return now != before
