"""System calls that Python's standard library lacks, through the C library."""

from __future__ import annotations

import ctypes
import os

__all__ = ["LIBC", "BrokenError", "check", "mount", "prctl"]

LIBC = ctypes.CDLL(None, use_errno=True)


class BrokenError(Exception):
    """The sandbox could not be set up; the program did not run."""


def check(result: int, what: str) -> None:
    """Raise :class:`BrokenError` unless a call returned 0."""
    if result != 0:
        raise BrokenError(f"{what}: {os.strerror(ctypes.get_errno())}")


def prctl(option: int, value: int, what: str = "") -> None:
    """Set a property of this process; errors count only where ``what`` names it."""
    result = LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if what:
        check(result, what)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """Mount a file system."""
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    check(LIBC.mount(*texts, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")
