"""Processor time and memory of a process and of all that it started."""

from __future__ import annotations

import os

__all__ = ["processes_of", "usage_of"]

_TICKS_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_UTIME, _RSS = 11, 21
"""Places in /proc/<pid>/stat, behind the name: user, system, children's user and children's system time; pages."""


def usage_of(process: int) -> tuple[float, int]:
    """Return seconds of processor time, those of ended children included, and bytes of memory.

    The time of a child that ended moves to its parent, so the sum over a tree never falls.
    """
    ticks = pages = 0
    for each in processes_of(process):
        fields = _read(f"/proc/{each}/stat").rpartition(")")[2].split()
        if len(fields) > _RSS:
            ticks += sum(map(int, fields[_UTIME : _UTIME + 4]))
            pages += int(fields[_RSS])
    return ticks / _TICKS_S, pages * _PAGE_BYTES


def processes_of(process: int) -> list[int]:
    """Return a process and its descendants; those that end meanwhile may be missing."""
    found, waiting = [], [process]
    while waiting:
        each = waiting.pop()
        found.append(each)
        try:
            threads = os.listdir(f"/proc/{each}/task")
        except OSError:  # ended meanwhile, or no /proc here
            continue
        for thread in threads:
            waiting += map(int, _read(f"/proc/{each}/task/{thread}/children").split())
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""
