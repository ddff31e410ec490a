"""One process of a group of any size, alone: its messages go nowhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from xmtf.errors import ConfigError
from xmtf.models.layers.attention import forget_slopes
from xmtf.models.torch_private import FakeStore
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.ranks import Ranks

__all__ = ["as_one_of", "fill_buffers", "groups_by_name"]


@contextmanager
def as_one_of(size: int, rank: int) -> Iterator[Ranks]:
    """Be one process of many for the block, whose others do not exist.

    Raises:
        ConfigError: This process is one of several already.
    """
    if torch.distributed.is_initialized():
        raise ConfigError("a rehearsal runs in a single process; start it without torchrun")
    torch.distributed.init_process_group("fake", rank=rank, world_size=size, store=FakeStore())
    forget_slopes()  # what is kept between batches would be tensors of the other kind
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch of its own names
            yield Ranks(rank, size)
    finally:
        forget_slopes()
        torch.distributed.destroy_process_group()


def groups_by_name(mesh: Mesh) -> dict[str, str]:
    """Return the axis of each group of processes, by torch's name of it; the last of those that share one."""
    axes = {
        "all": mesh.world,
        "dp": mesh.data,
        "dp_replicate": mesh.replicate,
        "dp_shard": mesh.shard,
        "tp": mesh.tensor,
        "pp": mesh.pipe,
        "ends": mesh.ends,
    }
    found: dict[str, str] = {}
    for axis, ranks in axes.items():
        if ranks.size > 1:
            group = ranks.group or torch.distributed.group.WORLD
            assert group is not None, "the processes have been joined"
            found[group.group_name] = axis
    return found


def fill_buffers(parts: Iterable[nn.Module]) -> None:
    """Put buffers, which no cut replaces, among the tensors that are shapes alone: models of transformers have some."""
    for part in parts:
        for module in part.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device="cpu"))
