"""Processes that work together: all of them, or those along one axis of the device mesh.

Every process knows the whole global batch, so the denominators of the loss need no exchange: two
data-parallel processes compute what one would, in another order of addition. Started by ``torchrun``;
alone, nothing is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.distributed import (  # type: ignore[attr-defined]  # torch documents PrefixStore and does not list it
    PrefixStore,
    ProcessGroup,
    ReduceOp,
    Work,
)
from torch.distributed.rendezvous import rendezvous

from xmtf.errors import ConfigError
from xmtf.models.device import choose_device, take_gpu
from xmtf.parallel.topology.peers import RESUMES, Peers, Store
from xmtf.recipe.sections.processes import Timeouts

__all__ = ["ALONE", "Ranks", "all_processes"]

Item = TypeVar("Item")
_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class Ranks:
    """A group of processes, seen from one of them.

    Attributes:
        rank: This process among them, from 0.
        size: How many there are.
        group: Torch's group; None is that of all processes.
        peers: How they wait for each other, and find out who is missing; None where they do not.
    """

    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None
    peers: Peers | None = None

    @property
    def first(self) -> bool:
        """Whether this process is the first one."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Iterable[tuple[int, Item]]:
        """Return the items of this process with their index: every ``size``-th, from ``rank`` on.

        >>> list(Ranks(1, 2).share(["a", "b", "c", "d"]))
        [(1, 'b'), (3, 'd')]
        """
        return list(enumerate(items))[self.rank :: self.size]

    def slice_of(self, length: int) -> slice:
        """Return which of ``length`` things this process holds: a run of equal length, the last ones fewer or none.

        >>> [Ranks(rank, 4).slice_of(5) for rank in range(4)]
        [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None), slice(5, 5, None)]
        """
        each = -(-length // self.size)
        return slice(min(length, self.rank * each), min(length, (self.rank + 1) * each))

    def add(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over the processes, in place, and return it."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor, group=self.group)
        return tensor

    def begin_add(self, tensor: Tensor) -> Work:
        """Begin to add up a tensor over the processes, in place; return what to wait for before it is used."""
        work: Work = torch.distributed.all_reduce(tensor, group=self.group, async_op=True)
        return work

    def most(self, tensor: Tensor) -> Tensor:
        """Take the greatest of each number over the processes, in place, and return the tensor."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor, ReduceOp.MAX, group=self.group)
        return tensor

    def begin_gather(self, part: Tensor) -> tuple[Tensor, Work]:
        """Begin to put parts of equal shape one behind the other, along their first dimension.

        Returns:
            Room for all of them, and what to wait for before it is read.
        """
        whole = part.new_empty(self.size * len(part), *part.shape[1:])
        work = torch.distributed.all_gather_into_tensor(whole, part, group=self.group, async_op=True)
        return whole, work

    def scatter_sum(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over the processes; return this one's part of it along the first dimension."""
        part = tensor.new_empty(len(tensor) // self.size, *tensor.shape[1:])
        torch.distributed.reduce_scatter_tensor(part, tensor, group=self.group)
        return part

    def give(self, tensor: Tensor, rank: int) -> Tensor:
        """Give a tensor of one of the processes to all of them, in place, and return it."""
        if self.size > 1:
            torch.distributed.broadcast(tensor, group=self.group, group_src=rank)
        return tensor

    def agree(self, flag: bool) -> bool:
        """Return whether the flag is set on any process."""
        return flag if self.size == 1 else bool(self.add(torch.tensor([float(flag)])).item())

    def collect(self, value: Item) -> list[Item]:
        """Return the value of every process, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(values, value, group=self.group)
        return values

    def wait(self, seconds: float | None = None, what: str = "") -> None:
        """Return when all processes have come here.

        Args:
            seconds: How long to wait for them; default as long as for any exchange.
            what: What is waited for, for the error.
        """
        if self.peers is not None:
            self.peers.wait(seconds or self.peers.timeouts.step, what)
        elif self.size > 1:
            torch.distributed.barrier(self.group)

    def at(self, what: str) -> None:
        """Describe what this process begins to do, for those that wait for it."""
        if self.peers is not None:
            self.peers.at(what)


ALONE = Ranks()
"""A single process."""


@contextmanager
def all_processes(
    device: str = "auto",
    timeouts: Timeouts = _TIMEOUTS,
    flight: Path | None = None,
    *,
    resumes: str = RESUMES,
) -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, for the block; alone where there are none.

    Args:
        device: ``training.device``; on GPUs each process takes the one of its number.
        timeouts: How long they wait for each other.
        flight: Folder for torch's flight recorders, where they lose each other.
        resumes: Where the same command resumes when one of them is lost, for the error.

    Raises:
        ConfigError: This machine has fewer GPUs than processes.
        LostProcessError: Another process ended, hangs or came too late; in one process, the others end without a word.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    kind = choose_device(device, "training.device").type
    if kind == "mps":
        raise ConfigError("training.device mps: one process computes there; start it without torchrun")
    on_gpus = kind == "cuda"
    if on_gpus:
        take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    if flight is not None:
        flight.mkdir(parents=True, exist_ok=True)
        _record_exchanges(flight)
    store, rank, size = next(rendezvous("env://", timeout=timedelta(seconds=timeouts.start)))
    attempt = PrefixStore(f"xmtf/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    try:
        with Peers(rank, size, cast(Store, PrefixStore("peers", attempt)), timeouts, flight, resumes) as peers:
            torch.distributed.init_process_group(
                "cpu:gloo,cuda:nccl" if on_gpus else "gloo",
                store=PrefixStore("groups", attempt),
                rank=rank,
                world_size=size,
                timeout=timedelta(seconds=timeouts.step),
            )
            yield Ranks(rank, size, peers=peers)
        torch.distributed.destroy_process_group()
    finally:
        if flight is not None and rank == 0:
            with suppress(OSError):  # unless processes lost each other there is nothing in it
                flight.rmdir()


def _record_exchanges(flight: Path) -> None:
    """Have torch keep the last exchanges of this process, and write them down where one of NCCL's takes too long."""
    os.environ.setdefault("TORCH_FR_BUFFER_SIZE", "2000")
    os.environ.setdefault("TORCH_NCCL_DUMP_ON_TIMEOUT", "1")
    os.environ.setdefault("TORCH_FR_DUMP_TEMP_FILE", str(flight / "rank_"))
