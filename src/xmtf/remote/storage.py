"""Finished folders in remote storage: copied up with their manifest last, and down only where it fits every file.

``s3://``, ``gs://``, ``hf://`` and every other address that fsspec opens. Credentials come from the environment or the
files of each provider; an address that carries some is refused, so that none gets into a log or a shell's history.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from xmtf.artefacts.checksums import check_outputs
from xmtf.errors import ConfigError, DataError, SourceError, UserError
from xmtf.files import MANIFEST, atomic_folder, read_manifest

__all__ = [
    "check_address",
    "copy_beside",
    "copy_down",
    "copy_up",
    "fetch_finished",
    "inside",
    "is_copied",
    "is_finished_at",
    "is_remote",
    "open_storage",
    "told",
]

_ERRORS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("gcsfs.retry", "HttpError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("aiohttp", "ClientError"),
    ("httpx", "HTTPError"),
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_remote(place: str) -> bool:
    """Tell an address such as ``s3://bucket/folder`` from a path."""
    return _ADDRESS.match(place) is not None


def check_address(address: str) -> None:
    """Refuse an address that carries credentials, or that leads out of the folder that it names.

    Raises:
        ConfigError: It does; the message never repeats the credentials.
    """
    parts = urlsplit(address)
    if parts.username or parts.password or parts.query or parts.fragment:
        named = f"{parts.scheme}://{parts.hostname or ''}"
        raise ConfigError(f"{named}: an address with credentials is refused; put them into the environment")
    if ".." in parts.path.split("/"):
        raise ConfigError(f"{address}: `..` leads out of the folder that is named")


def copy_up(folder: Path, address: str, *, replace: bool = False) -> list[tuple[str, int]]:
    """Copy a finished folder to an address; return name and bytes of each file.

    Its manifest goes last and, where one is there, is removed first: what is cut short has none, and is no result.

    Raises:
        SourceError: There is no such folder.
        DataError: The folder is not finished, or not as it was written.
        ConfigError: A finished folder already exists, or the address is wrong.
        UserError: The storage refuses, or a package for it is missing.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder}: {'is a file; give a finished folder' if folder.exists() else 'no such folder'}")
    if not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: no finished folder (it has no {MANIFEST}); only finished ones are copied")
    manifest = check_outputs(folder)
    names = [*sorted(name for name in _names_here(folder, set(manifest.outputs)) if name != MANIFEST), MANIFEST]
    with told(address):
        storage, root = open_storage(address)
        last = f"{root}/{MANIFEST}"
        if storage.exists(last):
            if not replace:
                raise ConfigError(f"{address}: a finished folder already exists; --replace overwrites it")
            storage.rm_file(last)
        for name in names:
            place = f"{root}/{name}"
            storage.makedirs(place.rpartition("/")[0], exist_ok=True)
            storage.put_file(str(folder / name), place)
        return [(name, (folder / name).stat().st_size) for name in names]


def copy_beside(folder: Path, address: str) -> None:
    """Copy the files of a finished folder that its manifest does not name, such as a card that was written later.

    Raises:
        ConfigError, UserError: As :func:`copy_up`.
    """
    outputs = set(read_manifest(folder).outputs)
    with told(address):
        storage, root = open_storage(address)
        for name in _names_here(folder, outputs):
            if name not in outputs and name != MANIFEST:
                storage.put_file(str(folder / name), f"{root}/{name}")


def is_finished_at(address: str) -> bool:
    """Return whether a finished folder is at an address.

    Raises:
        ConfigError, UserError: As :func:`copy_up`.
    """
    return _manifest_at(address) is not None


def is_copied(folder: Path, address: str) -> bool:
    """Return whether the finished folder at an address is that of a local one: their manifests are the same bytes.

    Raises:
        ConfigError, UserError: As :func:`copy_up`.
    """
    here = folder / MANIFEST
    return here.is_file() and _manifest_at(address) == here.read_bytes()


def _manifest_at(address: str) -> bytes | None:
    with told(address):
        storage, root = open_storage(address)
        storage.invalidate_cache()
        last = f"{root}/{MANIFEST}"
        return bytes(storage.cat_file(last)) if storage.exists(last) else None


def _names_here(folder: Path, outputs: set[str]) -> Iterator[str]:
    """Yield the outputs of a folder and its visible files: no locks, no journals of work."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and (name in outputs or not any(part.startswith(".") for part in Path(name).parts)):
            yield name


def copy_down(address: str, folder: Path) -> list[tuple[str, int]]:
    """Copy a finished folder from an address; every file is compared with its manifest before the folder appears.

    Raises:
        SourceError: There is no finished folder: an upload that was cut short has no manifest.
        DataError: A file is missing or changed, or a name leads out of the folder.
        ConfigError: Something is at ``folder``, or the address is wrong.
        UserError: The storage refuses, or a package for it is missing.
    """
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"{folder}: already exists; name a new folder")
    return fetch_finished(address, folder)


def fetch_finished(address: str, folder: Path) -> list[tuple[str, int]]:
    """Copy a finished folder from an address as :func:`copy_down`; one that is at ``folder`` is replaced as a whole.

    Raises:
        SourceError, DataError, ConfigError, UserError: As :func:`copy_down`.
    """
    with told(address):
        storage, root = open_storage(address)
        if not storage.exists(f"{root}/{MANIFEST}"):
            raise SourceError(
                f"{address}: no finished folder (no {MANIFEST}): none was copied there, or an upload was cut short"
            )
        found = {inside(str(place), root, address): str(place) for place in storage.find(root)}
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(folder) as temporary:
            for name, place in sorted(found.items()):
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                storage.get_file(place, str(target))
            try:
                check_outputs(temporary)
            except DataError as error:
                why = str(error).partition(";")[0].replace(f"{temporary}/", "")
                raise DataError(f"{address}: {why}; copy it up again") from None
        return [(name, (folder / name).stat().st_size) for name in sorted(found)]


def inside(place: str, root: str, address: str) -> str:
    """Return the name of a file below the root; one that leads out of it is refused."""
    name = place.removeprefix(root).lstrip("/") if place.startswith(root) else ""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "\\" in name or "\0" in name or name.startswith("/"):
        raise DataError(f"{address}: {place!r} is no name of a file below it; nothing was copied")
    return name


def open_storage(address: str) -> tuple[Any, str]:
    """Return the file system of fsspec behind an address, and the path in it.

    Raises:
        ConfigError: The address is wrong.
        UserError: The package of its storage is missing.
    """
    check_address(address)
    core = import_module("fsspec.core")  # a third of a second, which only addresses need
    try:
        storage, root = core.url_to_fs(address.rstrip("/"))
    except ImportError as error:
        raise UserError(f"{address}: {str(error).rstrip('.')}: pip install 'xmtf[remote]'") from None
    except ValueError as error:
        raise ConfigError(f"{address}: {error}") from None
    return storage, str(root).rstrip("/")


@contextmanager
def told(address: str) -> Iterator[None]:
    """Turn what storages raise into one line."""
    try:
        yield
    except _refusals() as error:
        said = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise UserError(f"{address}: the storage refuses ({said})") from None


def _refusals() -> tuple[type[Exception], ...]:
    """Return what storages raise: also the errors of the clients of S3, GCS and the hub that are no OSError."""
    loaded = ((sys.modules.get(module), name) for module, name in _ERRORS)
    return (OSError, *(vars(module)[name] for module, name in loaded if module is not None and name in vars(module)))
