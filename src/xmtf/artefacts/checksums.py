"""Bytes that a stage reads are those that were written: SHA-256 against the manifest next to them.

Hashing terabytes again for every command would take hours, so the hash of a file is remembered in the user's cache
under its device, inode, size and times of change. Whoever writes to the file changes a time. What changes bytes
without that (a failing disk) is found by ``xmtf verify``, which remembers nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xmtf.artefacts.ownership import marked_outputs
from xmtf.errors import DataError, UserError
from xmtf.files import MANIFEST, Manifest, atomic_path, content_hash, file_sha256, read_manifest

__all__ = [
    "Damage",
    "check_file",
    "check_outputs",
    "damages",
    "marked_damages",
    "remember_sha256",
    "remembered_sha256",
    "user_cache",
]

CACHE = "XMTF_CACHE"
"""Environment variable with the folder of the user's cache; default ``xmtf`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what a stage wrote.

    Attributes:
        path: The file.
        stage: The stage that wrote it.
        what: What is wrong with it.
    """

    path: Path
    stage: str
    what: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.path}: {self.what} (stage {self.stage})"


def remembered_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; it is read once, until its size, its inode or one of its times changes."""
    entry = _entry(path)
    with contextlib.suppress(OSError, UnicodeDecodeError):  # a memory that cannot be read is none
        known = entry.read_text(encoding="ascii")
        if len(known) == 64 and all(letter in "0123456789abcdef" for letter in known):
            return known
    found = file_sha256(path)
    remember_sha256(path, found)
    return found


def remember_sha256(path: Path, found: str) -> None:
    """Keep the SHA-256 of a file that was hashed as it was written; a home that is read-only keeps nothing."""
    with contextlib.suppress(OSError, UserError), atomic_path(_entry(path), durable=False) as temporary:
        temporary.write_text(found, encoding="ascii")


def _entry(path: Path) -> Path:
    stat = path.stat()
    key = content_hash([stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
    return user_cache() / "sha256" / key[:2] / key


def check_outputs(folder: Path, takes: Callable[[str], bool] = lambda name: True) -> Manifest:
    """Return the manifest of a finished folder whose files are what its stage wrote.

    Args:
        folder: The folder.
        takes: Tells of a file's relative path whether it is looked at.

    Raises:
        DataError: A file is missing or changed; names it, its stage and what to do.
    """
    manifest = read_manifest(folder)
    for damage in damages(folder, manifest, takes, remembered_sha256):
        raise DataError(f"{damage}; delete {folder} to recreate it")
    return manifest


def check_file(folder: Path, name: str) -> None:
    """Refuse one file of a finished folder that is not what its stage wrote; one without a manifest is let through.

    Raises:
        DataError: As :func:`check_outputs`.
    """
    if (folder / MANIFEST).is_file():
        check_outputs(folder, lambda known: known == name)


def marked_damages(folder: Path, stage: str, sha256: Callable[[Path], str] = file_sha256) -> Iterator[Damage]:
    """Yield what of a folder without a manifest is not what its marker says; arguments as of :func:`damages`."""
    for name, written in marked_outputs(folder).items():
        what = _damage(folder / name, written, sha256)
        if what:
            yield Damage(folder / name, stage, what)


def damages(
    folder: Path,
    manifest: Manifest,
    takes: Callable[[str], bool] = lambda name: True,
    sha256: Callable[[Path], str] = file_sha256,
) -> Iterator[Damage]:
    """Yield what of a folder is not what its manifest says.

    Args:
        folder: The folder.
        manifest: Its manifest.
        takes: Tells of a file's relative path whether it is looked at.
        sha256: Returns the hash of a file.
    """
    for name, written in manifest.outputs.items():
        if takes(name):
            what = _damage(folder / name, written, sha256)
            if what:
                yield Damage(folder / name, manifest.stage, what)


def _damage(path: Path, written: str, sha256: Callable[[Path], str]) -> str:
    try:
        found = sha256(path)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    return "" if found == written else "does not match its recorded checksum"


def user_cache() -> Path:
    """Return the folder of the user's cache."""
    own = os.environ.get(CACHE)
    if own:
        return Path(own)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "xmtf"
