"""What is being written has a temporary name and a lock; what killed processes left of it is swept.

::

    .model.host-4711.tmp       a file or folder on its way to ``model``; its writer holds a lock of it
    .model.host-4711.old       what ``model`` was before, on its way out

A lock ends with its process, however that ends. So what can be locked is left over, and the next that writes under
the name, or works in the folder, deletes it. Locks of other machines cannot always be seen: what they left goes after
a day.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "NO_LOCKS",
    "announced",
    "discard_folder",
    "is_being_written",
    "is_held",
    "is_temporary",
    "lock",
    "replace_folder",
    "scratch_folder",
    "shared_scratch",
    "sweep",
    "sweep_beside",
    "sweep_scratch",
    "temporary_file",
    "temporary_folder",
]

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)
"""What a file system answers that has no locks, such as Lustre where it is mounted so, or NFS for folders."""
_NAME = re.compile(r"\..+\.[^/]*-(?P<process>\d+)\.(tmp|old)")
_FOREIGN_S = 24 * 3600.0
"""Age at which what another machine wrote counts as left over."""
_IN_USE: set[Path] = set()
"""What this process writes now; where there are no locks, nothing else says so."""


def lock(file: int, *, shared: bool = False, wait: bool = False) -> bool | None:
    """Take the lock of an open file or folder; return whether it is ours, or None where there are no locks.

    Args:
        file: Its descriptor; the lock ends when it is closed.
        shared: Others may hold it in this way, too.
        wait: Wait for it.
    """
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return True


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """Give an empty file next to ``path``, locked; whoever has not renamed it in the block has lost it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(path)
    temporary = _beside(path, "tmp")

    def make() -> None:
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666))

    file = _made(temporary, make)
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
        _end(temporary, file)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder next to ``path``, locked; whoever has not renamed it in the block has lost it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_beside(path)
    temporary = _beside(path, "tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    file = _made(temporary, lambda: temporary.mkdir(exist_ok=True))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _end(temporary, file)


def _made(path: Path, make: Callable[[], None]) -> int:
    """Make a file or folder and lock it; what a sweeping process deleted before it was locked is made again."""
    while True:
        make()
        try:
            file = _open(path)
        except FileNotFoundError:
            continue
        lock(file, wait=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), path.stat()):
                _IN_USE.add(path.absolute())
                return file
        os.close(file)


def _end(path: Path, file: int) -> None:
    _IN_USE.discard(path.absolute())
    os.close(file)


def replace_folder(folder: Path, path: Path) -> None:
    """Rename ``folder`` to ``path``, also while another process does the same: the last one stays."""
    old = _beside(path, "old")
    while True:
        _delete(old)
        with contextlib.suppress(FileNotFoundError):
            path.replace(old)
        try:
            folder.replace(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            break
    _delete(old)


def _delete(path: Path) -> None:
    """Delete a folder, or a link to one and nothing of what it leads to."""
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def discard_folder(path: Path) -> None:
    """Delete a folder, if it is there, so that a process that is killed meanwhile never leaves half of it."""
    old = _beside(path, "old")
    for rest in (old, _of_earlier_versions(path)):
        shutil.rmtree(rest, ignore_errors=True)
    if path.exists():
        path.replace(old)
        _delete(old)  # what cannot be deleted now is swept later


def _beside(path: Path, kind: str) -> Path:
    """Return a name next to ``path`` of this process alone, on any of the machines that share the folder."""
    return path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.{kind}")


def _of_earlier_versions(path: Path) -> Path:
    return path.with_name(f"{path.name}.discarded")


def sweep(folder: Path) -> None:
    """Delete what killed processes left in a folder, at any depth, and next to it under its name.

    Args:
        folder: A folder of ours; nothing else may have names like these in it.
    """
    sweep_beside(folder)
    if folder.name.startswith("."):  # a work folder; nobody has named it but xmtf
        shutil.rmtree(_of_earlier_versions(folder), ignore_errors=True)
    for parent, folders, files in os.walk(folder):
        swept = [name for name in (*folders, *files) if _NAME.fullmatch(name) and _swept(Path(parent, name))]
        folders[:] = [name for name in folders if name not in swept]


def sweep_scratch(*prefixes: str) -> None:
    """Delete folders of this user under the system's temporary directory that killed processes left.

    Args:
        prefixes: What their names begin with; whoever uses one has locked it.
    """
    for entry in os.scandir(tempfile.gettempdir()):
        if not entry.name.startswith(prefixes) or not entry.is_dir(follow_symlinks=False):
            continue
        file = _opened(Path(entry.path))
        if file is None:
            continue
        try:
            if os.fstat(file).st_uid == os.getuid() and lock(file):
                shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(file)


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """Give a folder under the system's temporary directory, which is deleted afterwards, by the next one after a kill.

    Args:
        prefix: What its name begins with.
    """
    sweep_scratch(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        file = os.open(name, os.O_RDONLY)
        try:
            lock(file)
            yield Path(name)
        finally:
            os.close(file)


@contextlib.contextmanager
def shared_scratch(name: str) -> Iterator[Path | None]:
    """Give a folder in the system's temporary directory that processes of this machine share; the last one deletes it.

    Args:
        name: The same in all of them, and in no others; what its name begins with is for :func:`sweep_scratch`.

    Yields:
        The folder; None where somebody else has one of the name, or it cannot be locked.
    """
    path = Path(tempfile.gettempdir(), f"{name}-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    file = _opened(path)
    if file is None or os.fstat(file).st_uid != os.getuid() or lock(file, shared=True, wait=True) is None:
        yield None
        return
    try:
        yield path
    finally:
        if lock(file):
            shutil.rmtree(path, ignore_errors=True)
        os.close(file)


def sweep_beside(path: Path) -> None:
    """Delete what killed processes left of a file or folder of this name."""
    for rest in _rests(path):
        _swept(rest)


def is_being_written(path: Path) -> bool:
    """Return whether another process is writing a file or folder of this name, or has :func:`announced` it."""
    writer = re.compile(rf"\.{re.escape(path.name)}\.(alone\.)?({re.escape(socket.gethostname())}|[^.]+)-\d+\.tmp")
    others = (rest for rest in _rests(path) if writer.fullmatch(rest.name) and rest.absolute() not in _IN_USE)
    return any(is_held(rest) for rest in others)


@contextlib.contextmanager
def announced(path: Path) -> Iterator[None]:
    """Show others that this process writes what is at ``path``, file by file."""
    with temporary_file(path.with_name(f"{path.name}.alone")):
        yield


def _rests(path: Path) -> list[Path]:
    start = f".{path.name}."
    try:
        names = [entry.name for entry in os.scandir(path.parent) if entry.name.startswith(start)]
    except FileNotFoundError:
        return []
    return [path.with_name(name) for name in names if _NAME.fullmatch(name)]


def is_temporary(name: str) -> bool:
    """Return whether a file name is one of what is being written, or was when its process was killed."""
    return _NAME.fullmatch(name) is not None


def is_held(path: Path) -> bool:
    """Return whether another process has locked a file or folder."""
    file = _opened(path)
    if file is None:
        return False
    try:
        return lock(file, shared=True) is False
    finally:
        os.close(file)


def _swept(path: Path) -> bool:
    """Delete a file or folder with a name of ours, unless it may be in use; return whether it is gone."""
    match = _NAME.fullmatch(path.name)
    assert match is not None
    here = f".{socket.gethostname()}-{match['process']}." in path.name
    if not here and time.time() - _last_change(path) < _FOREIGN_S:
        return False
    file = _opened(path)
    if file is None:
        return False
    try:
        held = lock(file)
        if held is False or (held is None and here and _is_alive(int(match["process"]), path)):
            return False
        if stat.S_ISDIR(os.fstat(file).st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    finally:
        os.close(file)
    return True


def _opened(path: Path) -> int | None:
    """Open a file or folder; None where it is gone, is of somebody else, or is a link."""
    try:
        return _open(path)
    except OSError:
        return None


def _open(path: Path) -> int:
    """Open a file for writing, since NFS gives no other lock; a folder, or what is read-only, for reading."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, os.O_RDWR | flags)
    except (IsADirectoryError, PermissionError):
        return os.open(path, os.O_RDONLY | flags)


def _last_change(path: Path) -> float:
    """Return when a file, or anything in a folder, was written to last."""
    found = [path, *path.rglob("*")] if path.is_dir() else [path]
    times = [0.0]
    for each in found:
        with contextlib.suppress(FileNotFoundError):
            times.append(each.lstat().st_mtime)
    return max(times)


def _is_alive(process: int, path: Path) -> bool:
    if process == os.getpid():
        return path.absolute() in _IN_USE
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
