"""Processes of one ``torchrun`` that evaluate together: which batches are whose, and waiting for the others.

Every process forms the same batches, in the same order, and takes each n-th; so a request is computed in
the same batch, and scores the same bits, whatever the number of processes. Answers meet on disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Self, TypeVar

from torch import distributed

__all__ = ["ALONE", "Processes", "processes_of_torchrun"]

Batch = TypeVar("Batch")

_PATIENCE = timedelta(days=7)
"""How long a process waits for the others: their batches take hours, and not the same."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that evaluate together; a context in which they can wait for each other.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        local: Number of this process on its machine: which of its GPUs is used.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    def __enter__(self) -> Self:
        """Meet the others."""
        if self.size > 1:
            distributed.init_process_group("gloo", timeout=_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        """Part."""
        if self.size > 1:
            distributed.destroy_process_group()

    @property
    def name(self) -> str | None:
        """Such as ``0-of-2``; None for a process that is alone."""
        return f"{self.rank}-of-{self.size}" if self.size > 1 else None

    def own(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches of this process."""
        return (batch for number, batch in enumerate(batches) if number % self.size == self.rank)

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.size > 1:
            distributed.barrier()


ALONE = Processes()
"""There is one process."""


def processes_of_torchrun() -> Processes:
    """Return what ``torchrun`` says of this process in its environment; without it, the process is alone."""
    rank, size, local = (int(os.environ.get(name, default)) for name, default in _VARIABLES)
    return Processes(rank, size, local)


_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
