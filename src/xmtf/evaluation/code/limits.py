"""What programs may use."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PATIENCE", "Limits", "StepLimits"]

_MIB = 1 << 20

PATIENCE = 10
"""Wall limits that a program may take while it computes: a busy machine gives it little processor time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use while its tests run.

    Verdicts come from processor time, which other programs on the machine hardly change. The clock only ends what
    waits, and what it ended is run once more, alone.

    Attributes:
        cpu_s: Seconds of processor time of all its processes together, its tests included.
        wall_s: Seconds by the clock after which a program that waits is ended; one that computes has ten times as long.
        memory: Bytes that all its processes occupy together.
        processes: Processes and threads together.
        file_size: Bytes of one file.
        tmp_bytes: Bytes of all files.
    """

    cpu_s: float = 10.0
    wall_s: float = 60.0
    memory: int = 512 * _MIB
    processes: int = 16
    file_size: int = 16 * _MIB
    tmp_bytes: int = 64 * _MIB


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What one step, compiling or running, may use; the launcher's names.

    Attributes:
        cpu_s: See :class:`Limits`.
        wall_s: See :class:`Limits`.
        memory: See :class:`Limits`.
        address_space: Bytes of one process's address space, or None: some runtimes reserve far more than they use.
        processes: See :class:`Limits`.
        file_size: See :class:`Limits`.
        open_files: Descriptors of one process.
    """

    cpu_s: float
    wall_s: float
    memory: int
    address_space: int | None
    processes: int
    file_size: int
    open_files: int = 64
