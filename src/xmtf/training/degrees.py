"""How many processes stand along each axis of a layout, and which blocks a pipeline stage gets."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AXES", "Degrees", "stage_blocks"]

AXES = ("pp", "dp_replicate", "dp_shard", "tp")


@dataclass(frozen=True, slots=True)
class Degrees:
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

    Stages that take one more stand in the middle, so BLOOM's 70 blocks in 72 stages are one a stage:

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
