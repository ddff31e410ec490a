"""Consecutive blocks of a causal model, as the pipeline stages of one process."""

from __future__ import annotations

from xmtf.models.bloom import Bloom
from xmtf.models.hub.model import HubModel
from xmtf.parallel.topology.parallel_dims import stage_blocks
from xmtf.parallel.topology.ranks import Ranks

__all__ = ["own_stages"]


def own_stages(model: Bloom | HubModel, of_each: int, pipe: Ranks) -> list[Bloom | HubModel]:
    """Return the stages that a process holds, in order; they share the model's parameters.

    ::

        stages of 2 processes, 2 of each     0  1  2  3
        process                              0  1  0  1

    Args:
        model: Whole.
        of_each: Stages of each process.
        pipe: Processes along ``pp``.
    """
    blocks = stage_blocks(model.num_blocks, of_each * pipe.size)
    return [
        model.part(blocks[stage].start, blocks[stage].stop, first=stage == 0, last=stage == len(blocks) - 1)
        for stage in range(pipe.rank, len(blocks), pipe.size)
    ]
