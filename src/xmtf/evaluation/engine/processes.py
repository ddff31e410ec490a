"""Processes of one ``torchrun`` that evaluate together: which batches are whose, and waiting for the others.

Every process forms the same batches, in the same order, and each copy of the model takes every n-th; so a request is
computed in the same batch, and scores the same bits, whatever the number of copies. A copy is one process, or as many
as ``evaluation.parallel`` cuts the model over; these compute every batch of theirs together, and the first of them
writes the answers down. Answers meet on disk::

    process    0 1 2 3      tp 2: two copies
    copy       0 0 1 1
    batches    0 2 4 ..     1 3 5 ..
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xmtf.errors import ConfigError
from xmtf.recipe.sections.processes import EvaluationParallel, Timeouts

if TYPE_CHECKING:
    from xmtf.evaluation.engine.part import PartReader
    from xmtf.parallel.topology.mesh import Mesh
    from xmtf.parallel.topology.ranks import Ranks

__all__ = ["ALONE", "Processes", "processes_of_torchrun", "require_one_process"]

Item = TypeVar("Item")

_PATIENCE_S = 7 * 24 * 3600.0
"""How long a process waits for the others where no exchange holds them together: their batches take hours, and not the
same. One that is gone is missed after ``training.timeouts.silence``."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that evaluate together.

    Attributes:
        rank: Number of this process, from 0.
        size: Number of processes.
        local: Number of this process on its machine: which of its GPUs is used.
        ranks: All of them, once they are joined; None where there is one.
        reader: What reads this process's part of a model that is cut; None where each process has the whole of it.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    ranks: Ranks | None = None
    reader: PartReader | None = None

    @contextmanager
    def joined(
        self, parallel: EvaluationParallel, device: str, timeouts: Timeouts, flight: Path | None = None
    ) -> Iterator[Processes]:
        """Meet the others for the block; from then on they can wait for each other.

        Args:
            parallel: How the model is cut.
            device: As in a recipe.
            timeouts: How long they wait for each other.
            flight: Folder for what torch's flight recorders held, where they lose each other.

        Raises:
            ConfigError: The processes do not make whole copies of the model.
            LostProcessError: Another process ended, hangs or came too late; in one process, the others end silently.
        """
        if self.size == 1:  # whether it can hold the model is asked where one is loaded
            yield self
            return
        try:
            copies = parallel.copies(self.size)
        except ConfigError:
            if self.is_first:
                raise
            raise SystemExit(2) from None  # one of them says so
        from xmtf.evaluation.engine.part import joined  # a second of torch that one process does not need

        with joined(parallel, copies, device, timeouts, flight) as (ranks, reader):
            yield replace(self, ranks=ranks, reader=reader)

    @property
    def mesh(self) -> Mesh | None:
        """The processes by axis, where the model is cut."""
        return None if self.reader is None else self.reader.mesh

    @property
    def is_first(self) -> bool:
        """Whether this process writes the results."""
        return self.rank == 0

    @property
    def leads(self) -> bool:
        """Whether this process writes down the answers of its copy of the model."""
        return self.mesh is None or (self.mesh.tensor.first and self.mesh.pipe.first)

    @property
    def copies(self) -> int:
        """How many copies of the model share the batches."""
        return self.size if self.mesh is None else self.mesh.data.size

    @property
    def copy(self) -> int:
        """Which of them this process belongs to."""
        return self.rank if self.mesh is None else self.mesh.data.rank

    @property
    def name(self) -> str | None:
        """Such as ``0-of-2``; None where there is one copy of the model."""
        return f"{self.copy}-of-{self.copies}" if self.copies > 1 else None

    @property
    def layout(self) -> str | None:
        """Such as ``tp 2, 2 copies``; None where each process has the whole model."""
        if self.mesh is None:
            return None
        cut = [f"{axis} {getattr(self.mesh.dims, axis)}" for axis in ("pp", "tp") if getattr(self.mesh.dims, axis) > 1]
        return " x ".join(cut) + (f", {self.copies} copies" if self.copies > 1 else "")

    def own(self, batches: Iterator[Item]) -> Iterator[Item]:
        """Yield the batches of this process."""
        for number, batch in enumerate(batches):
            if number % self.copies == self.copy:
                if self.ranks is not None:
                    self.ranks.at(f"batch {number}")
                yield batch

    def wait(self, what: str = "") -> None:
        """Wait until every process has come here."""
        if self.ranks is not None:
            self.ranks.wait(_PATIENCE_S, what)

    def from_first(self, compute: Callable[[], Item]) -> Item:
        """Return what the first process computes, in all of them; the others wait for it."""
        if self.ranks is None:
            return compute()
        found = [compute()] if self.is_first else None
        self.wait()
        told = self.ranks.collect(found)[0]
        assert told is not None
        return told[0]

    def least(self, number: int) -> int:
        """Return the least of the numbers of the processes that compute batches together, of all copies."""
        return number if self.mesh is None or self.ranks is None else min(self.ranks.collect(number))


ALONE: Processes = Processes()
"""There is one process."""


def processes_of_torchrun() -> Processes:
    """Return what ``torchrun`` says of this process in its environment; without it, the process is alone."""
    rank, size, local = (int(os.environ.get(name, default)) for name, default in _VARIABLES)
    return Processes(rank, size, local)


def require_one_process(what: str) -> None:
    """Refuse several processes for what one computes: each would do all of it, and write the same file.

    Raises:
        ConfigError: ``torchrun`` started several; in the first, the others end silently.
    """
    processes = processes_of_torchrun()
    if processes.size == 1:
        return
    if not processes.is_first:
        raise SystemExit(2)
    raise ConfigError(
        f"{what}: computes in one process, and torchrun started {processes.size}; start it without torchrun"
    )


_VARIABLES = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
