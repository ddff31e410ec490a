"""Data-parallel processes: each computes some micro-batches of a step, and gradients are added up.

Every rank knows the whole global batch, so the denominators of the loss need no exchange: two ranks
compute what one would, in another order of addition. Started by ``torchrun``; alone, nothing is sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["ALONE", "Ranks", "data_parallel"]

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes that train together.

    Attributes:
        rank: This process, from 0.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the log, the checkpoints and the model."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Iterable[tuple[int, Item]]:
        """Return the items of this rank with their index: every ``size``-th, from ``rank`` on.

        >>> list(Ranks(1, 2).share(["a", "b", "c", "d"]))
        [(1, 'b'), (3, 'd')]
        """
        return list(enumerate(items))[self.rank :: self.size]

    def add_gradients(self, model: nn.Module) -> None:
        """Add up the gradients of all ranks, in place; a rank without one contributes zeros."""
        if self.size == 1:
            return
        for parameter in model.parameters():
            if parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                self.add(parameter.grad)

    def add(self, tensor: Tensor) -> Tensor:
        """Add up a tensor over all ranks, in place, and return it."""
        if self.size > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def agree(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        return flag if self.size == 1 else bool(self.add(torch.tensor([float(flag)])).item())

    def wait(self) -> None:
        """Return when all ranks have come here."""
        if self.size > 1:
            torch.distributed.barrier()


ALONE = Ranks()
"""A single process."""


@contextmanager
def data_parallel() -> Iterator[Ranks]:
    """Join the processes that ``torchrun`` started, for the block; alone where there are none."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
