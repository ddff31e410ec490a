"""How many processes stand along each axis of a layout, and what a pipeline stage gets of blocks and micro-batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

__all__ = ["AXES", "ParallelDims", "in_flight", "stage_blocks"]

AXES = ("pp", "dp_replicate", "dp_shard", "tp")


@dataclass(frozen=True, slots=True)
class ParallelDims:
    """How many processes stand along each axis."""

    pp: int = 1
    dp_replicate: int = 1
    dp_shard: int = 1
    tp: int = 1

    @property
    def data(self) -> int:
        """Processes that compute different rows."""
        return self.dp_replicate * self.dp_shard

    @property
    def total(self) -> int:
        """All processes."""
        return self.data * self.tp * self.pp

    @property
    def splits(self) -> bool:
        """Whether the model is cut up; otherwise every process holds the whole of it."""
        return self.total > self.dp_replicate

    def __str__(self) -> str:
        parts = [f"{axis} {getattr(self, axis)}" for axis in AXES if getattr(self, axis) > 1]
        return " x ".join(parts) or "one process"


def stage_blocks(num_blocks: int, num_stages: int) -> list[range]:
    """Return the blocks of each pipeline stage; the embedding and the head count as a block each.

    Stages that take one more are in the middle, so BLOOM's 70 blocks in 72 stages are one a stage:

    >>> stage_blocks(6, 4)
    [range(0, 1), range(1, 3), range(3, 5), range(5, 6)]
    >>> stage_blocks(2, 4)
    [range(0, 0), range(0, 1), range(1, 2), range(2, 2)]
    """
    least, more = divmod(num_blocks + 2, num_stages)
    before = (num_stages - more) // 2
    sizes = [least + (before <= stage < before + more) for stage in range(num_stages)]
    ends = [sum(sizes[: stage + 1]) - 1 for stage in range(num_stages)]
    starts = [0, *ends[:-1]]
    ends[-1] = num_blocks
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


@cache
def in_flight(
    rank: int, pp: int, num_micro: int, stages_per_rank: int = 1, *, zero_bubble: bool = False
) -> frozenset[tuple[int, ...]]:
    """Return how many micro-batches each stage of a process holds between forward and backward pass, at any time.

    With one stage (1F1B) at most as many as stages follow, itself included. Zero bubble computes gradients of weights
    the later the fewer stages follow, and every stage holds as many as there are stages. Interleaved, a process runs
    each stage for a round of micro-batches in turn, and after a start one forward and one backward pass alternate:

    >>> in_flight(0, 4, num_micro=16), in_flight(3, 4, num_micro=16)
    (frozenset({(4,)}), frozenset({(1,)}))
    >>> sorted(in_flight(1, 2, num_micro=4, stages_per_rank=2))
    [(1, 0), (2, 0), (2, 1), (3, 0)]
    """
    if zero_bubble:
        return frozenset({(min(pp, num_micro),)})
    if stages_per_rank == 1:
        return frozenset({(min(pp - rank, num_micro),)})
    a_round = num_micro // max(1, num_micro // pp)
    passes, ahead = num_micro * stages_per_rank, (stages_per_rank - 1) * a_round + 2 * (pp - 1 - rank)
    held, found = [0] * stages_per_rank, set()
    for forward in range(min(passes, ahead + 2 * stages_per_rank * a_round)):  # then it repeats itself
        held[forward // a_round % stages_per_rank] += 1
        found.add(tuple(held))
        if forward >= ahead:
            held[-1 - (forward - ahead) // a_round % stages_per_rank] -= 1
    return frozenset(found)
