"""Folders that a verb writes files into: tables, figures, analyses, results for other programs, job scripts.

The marker of such a folder names its files with their SHA-256. So what an earlier call wrote is overwritten, and what
somebody changed since, or put there, is not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmtf.artefacts.ownership import check_ours, marked_outputs, replaced_outputs, stage_of, write_marker
from xmtf.errors import ConfigError
from xmtf.files import file_sha256
from xmtf.guards.alone import alone_at
from xmtf.guards.unfinished import temporary_folder

__all__ = ["WrittenFiles"]


@dataclass(frozen=True, slots=True)
class WrittenFiles:
    """A folder for the files of a verb, checked before the verb begins its work.

    Attributes:
        folder: The folder.
        kind: What its marker says, such as ``tables``.
        replace: Whether files that somebody changed or put there are overwritten.
    """

    folder: Path
    kind: str
    replace: bool = False

    def check(self) -> None:
        """Refuse a folder that cannot be written to.

        Raises:
            ConfigError: A file; a folder that is not empty and not of this kind; one with per file that was changed
                since an earlier call wrote it.
        """
        check_ours(self.folder, f"{self.kind}", (self.kind,), hidden=False)
        self._refuse(self._written())

    @contextlib.contextmanager
    def writing(self, *, whole: bool = False) -> Iterator[Path]:
        """Give a temporary folder whose files take their places in the folder when the block succeeds.

        Args:
            whole: Whether what an earlier call wrote, and this one did not, is deleted.

        Raises:
            ConfigError: As :meth:`check`; or a file is in the place of a new one. Nothing is written then.
        """
        self.check()
        with alone_at(self.folder), temporary_folder(self.folder) as temporary:
            yield temporary
            paths = sorted(path for path in temporary.rglob("*") if path.is_file())
            found = {path.relative_to(temporary).as_posix(): file_sha256(path) for path in paths}
            before = self._written()
            self._refuse(found.keys() | (before.keys() if whole else set()))
            self.folder.mkdir(parents=True, exist_ok=True)
            outputs = (before if not whole else {}) | found
            if before:  # whoever is killed before all are in their places leaves some of either
                write_marker(self.folder, self.kind, outputs=outputs, replaced=before)
            else:
                write_marker(self.folder, self.kind, outputs=outputs)
            for name in found:
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).replace(self.folder / name)
            for name in before.keys() - found.keys() if whole else ():
                (self.folder / name).unlink(missing_ok=True)
            if before:
                write_marker(self.folder, self.kind, outputs=outputs)

    def _written(self) -> dict[str, str]:
        """Return what earlier calls wrote: the SHA-256 of each file."""
        if stage_of(self.folder) != self.kind:
            return {}
        found = marked_outputs(self.folder)
        for name, written in replaced_outputs(self.folder).items():
            path = self.folder / name
            if path.is_file() and file_sha256(path) == written:
                found[name] = written
        return found

    def _refuse(self, names: set[str] | dict[str, str]) -> None:
        """Refuse to write over files that are not as an earlier call wrote them."""
        if self.replace:
            return
        written = self._written()
        for name in sorted(names):
            path = self.folder / name
            if path.exists() and (path.is_dir() or file_sha256(path) != written.get(name)):
                since = "was edited after xmtf wrote it" if name in written else "was not written by xmtf"
                raise ConfigError(f"{path}: {since}; give another folder, or --replace to overwrite it")
