"""Files at an address as copies in the user's cache: only those that are needed, again only where they changed.

``XMTF_CACHE/remote/files/s3/bucket/folder/...`` holds copies under the names that they have there, each next to nothing
that is half copied: a file appears under its name when it is whole. ``remote/stamps`` holds for each what the storage
said of it (size, ETag, time). ``remote/finished`` holds finished folders, compared with their manifests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from uuid import uuid4

from xmtf.artefacts.checksums import check_outputs, user_cache
from xmtf.errors import DataError
from xmtf.files import MANIFEST, atomic_path, content_hash, write_text
from xmtf.remote.storage import fetch_finished, inside, is_copied, open_storage, told

__all__ = ["copy_folder", "finished_copy", "forget", "remote_copy", "remote_names"]

_SAME_OF_ALL = {"name", "type", "size", "Size", "Key"}
"""What a storage says of a file that does not change with its content; the size is that of the copy."""

_UNKNOWN = f"unknown-{uuid4().hex}"
"""Stamp of files of which a storage says nothing that changes with the content: each process copies them again."""


def copy_folder(address: str) -> Path:
    """Return the folder of the copies of an address, whether anything of it is copied or not."""
    return _place("files", address)


def remote_names(address: str, folder: str = "") -> Iterable[str]:
    """Return the names of the files in a folder at an address, from that folder; a process asks once.

    Raises:
        UserError: The storage refuses, or a package for it is missing.
        ConfigError: The address is wrong.
    """
    return _listed(_joined(address, folder)).keys()


def remote_copy(address: str, folder: str, wanted: Callable[[str], bool]) -> Path:
    """Copy the files of a folder at an address that are wanted; return the copy of the address.

    Files that are no longer there lose their copies; what has not changed is not copied again.

    Args:
        address: Such as ``s3://bucket/data``.
        folder: A folder below it, such as that of a dataset; ``""`` for itself.
        wanted: Called with the name of each file, from ``folder``.

    Raises:
        UserError: The storage refuses, or a package for it is missing.
        ConfigError: The address is wrong.
        DataError: A file changed while it was copied.
    """
    place = _joined(address, folder)
    listed = _listed(place)
    here = copy_folder(place)
    for path in [path for path in here.rglob("*") if path.is_file()]:
        name = path.relative_to(here).as_posix()
        if name not in listed and wanted(name):
            path.unlink(missing_ok=True)
    for name, stamp in listed.items():
        if wanted(name):
            _bring(place, name, stamp)
    return copy_folder(address)


def finished_copy(address: str) -> Path:
    """Return the copy of a finished folder at an address, compared with its manifest.

    Raises:
        SourceError, DataError, ConfigError, UserError: As :func:`xmtf.remote.storage.copy_down`.
    """
    folder = _place("finished", address)
    if (folder / MANIFEST).is_file() and is_copied(folder, address) and _is_whole(folder):
        return folder
    fetch_finished(address, folder)
    return folder


def forget() -> None:
    """Ask storages again what they hold: a process does so once for each folder."""
    _listed.cache_clear()


def _is_whole(folder: Path) -> bool:
    try:
        check_outputs(folder)
    except DataError:
        return False
    return True


def _joined(address: str, folder: str) -> str:
    return f"{address.rstrip('/')}/{folder}" if folder else address.rstrip("/")


def _place(kind: str, address: str) -> Path:
    scheme, _, rest = address.partition("://")
    return user_cache() / "remote" / kind / scheme.lower() / rest.strip("/")


@cache
def _listed(address: str) -> Mapping[str, str]:
    """Return name -> stamp of the files at an address; none where there is no such folder."""
    with told(address):
        storage, root = open_storage(address)
        storage.invalidate_cache()
        try:
            found = storage.find(root, detail=True)
        except FileNotFoundError:
            return {}
    return {inside(str(place), root, address): _stamp(about) for place, about in sorted(found.items()) if place != root}


def _stamp(about: Mapping[str, object]) -> str:
    """Return a hash of what a storage says of a file, other than its size."""
    told_of_it = {name: value for name, value in about.items() if name not in _SAME_OF_ALL and value is not None}
    return content_hash(sorted(f"{name}={value}" for name, value in told_of_it.items())) if told_of_it else _UNKNOWN


def _bring(place: str, name: str, stamp: str) -> None:
    """Copy one file, unless the copy has its stamp."""
    path, kept = _place("files", place) / name, _place("stamps", place) / name
    if path.is_file() and kept.is_file() and kept.read_text(encoding="ascii") == _of_copy(path, stamp):
        return
    kept.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with told(f"{place}/{name}"):
        storage, root = open_storage(place)
        with atomic_path(path) as temporary:
            storage.get_file(f"{root}/{name}", str(temporary))
        storage.invalidate_cache()
        after = storage.info(f"{root}/{name}")
    if int(after["size"]) != path.stat().st_size:
        path.unlink()
        raise DataError(f"{place}/{name}: changed while it was copied; run the command again")
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, _of_copy(path, stamp))


def _of_copy(path: Path, stamp: str) -> str:
    """Return what is kept of a copy: the stamp, and size and time of the copy, which another program may change."""
    stat = path.stat()
    return f"{stamp} {stat.st_size} {stat.st_mtime_ns}"
