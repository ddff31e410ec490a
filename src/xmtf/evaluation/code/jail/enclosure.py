"""The file system that programs see: the system's libraries and the toolchain, read-only, and an empty /tmp."""

from __future__ import annotations

import os
import platform

from .system import LIBC, BrokenError, check, mount

__all__ = ["enclose"]

_RDONLY, _NOSUID, _NODEV, _REMOUNT = 1, 2, 4, 32
_BIND, _REC, _PRIVATE, _RELATIME = 4096, 16384, 1 << 18, 1 << 21
_ST_RELATIME, _KEPT_FLAGS = 4096, 8 | 1024 | 2048
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_ROOT = "/tmp"
"""Where the new root is built; any folder that every machine has. It is covered, not written to."""


def enclose(shown: list[str], tmp_bytes: int) -> None:
    """Replace the file system.

    Args:
        shown: More files and folders of the machine, shown read-only at their place.
        tmp_bytes: Size of /tmp, the only place to write to.

    Raises:
        BrokenError: Not possible here.
    """
    if platform.machine() not in _PIVOT_ROOT:
        raise BrokenError(f"no sandbox for processors of kind {platform.machine()}")
    paths = [path for path in dict.fromkeys((*_SYSTEM, *shown, *_DEVICES)) if os.path.lexists(path)]
    # Opened before the new root covers them: what is shown may lie under /tmp itself.
    opened = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in paths if not os.path.islink(path)}
    links = {path: os.readlink(path) for path in paths if os.path.islink(path)}
    mount(None, "/", None, _REC | _PRIVATE)
    mount("tmpfs", _ROOT, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    os.mkdir(f"{_ROOT}/tmp")
    mount("tmpfs", f"{_ROOT}/tmp", "tmpfs", _NOSUID | _NODEV, f"size={tmp_bytes},mode=1777")
    for path, target in links.items():
        os.makedirs(os.path.dirname(_ROOT + path), exist_ok=True)
        os.symlink(target, _ROOT + path)
    for path, file in opened.items():
        _show(path, file)
    mount(None, _ROOT, None, _REMOUNT | _RDONLY | _NOSUID | _NODEV, "size=1m,mode=755")
    os.chdir(_ROOT)
    check(LIBC.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", 2), "umount")
    os.chdir("/tmp")


def _show(path: str, file: int) -> None:
    """Show an open file or folder of the machine at the same place in the sandbox, read-only."""
    target = _ROOT + path
    if os.path.lexists(target):  # within a folder that is shown already
        os.close(file)
        return
    if os.path.isdir(f"/proc/self/fd/{file}"):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(f"/proc/self/fd/{file}", target, None, _BIND | _REC)
    os.close(file)
    if path in _DEVICES:
        return
    kept = os.statvfs(target).f_flag
    flags = _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV | (kept & _KEPT_FLAGS)
    mount(None, target, None, flags | (_RELATIME if kept & _ST_RELATIME else 0))
