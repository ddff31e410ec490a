"""How a training is spread over processes, as far as its memory and its time depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from xmtf.parallel.topology.parallel_dims import AXES, ParallelDims, stage_blocks
from xmtf.recipe import Recipe
from xmtf.recipe.schema import Training

__all__ = ["Candidate", "stage_shares"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to spread a training.

    Attributes:
        dims: Processes along each axis.
        rows: Rows of a micro-batch.
        checkpointing: Recompute activations.
        gpu: Attention in one kernel.
        stages_per_rank: Pipeline stages of each process: 1, or more that are interleaved.
        zero: What ``dp_shard`` shards: 3, or 1 for the optimizer alone.
        zero_bubble: Whether pipelines compute gradients of weights while they would wait.
    """

    dims: ParallelDims
    rows: int
    checkpointing: bool
    gpu: bool = False
    stages_per_rank: int = 1
    zero: int = 3
    zero_bubble: bool = False

    @classmethod
    def of(cls, recipe: Recipe, dims: ParallelDims | None = None) -> Candidate:
        """Return the layout of a recipe; default in one process."""
        training, shape = recipe.training, dims or ParallelDims()
        rows = min(training.micro_batch_rows, max(1, training.global_batch_rows // shape.data))
        gpu = training.device == "cuda" or (training.device == "auto" and torch.cuda.is_available())
        stages = training.parallel.stages_each if shape.pp > 1 else 1
        zero_bubble = shape.pp > 1 and training.parallel.schedule == "zero_bubble"
        zero = training.parallel.zero or 3
        return cls(shape, rows, training.activation_checkpointing, gpu, stages, zero, zero_bubble)

    @property
    def waiting(self) -> float:
        """Micro-batches that a process could compute while it waits in a step.

        Zero bubble waits for the forward pass and for gradients of inputs less those of weights: a third of a
        micro-batch where the three take as long as each other (ZB-H1, Qi et al. 2023).
        """
        return (self.dims.pp - 1) / self.stages_per_rank / (3 if self.zero_bubble else 1)

    def num_micro(self, training: Training) -> int:
        """Return the micro-batches of each data-parallel process in a step."""
        return max(1, training.global_batch_rows // (self.rows * self.dims.data))

    def asked_of(self, training: Training) -> Training:
        """Return a training section that asks for this layout."""
        parallel = {axis: getattr(self.dims, axis) for axis in AXES} | {"schedule": "1f1b"}
        if self.dims.dp_shard > 1:
            parallel |= {"zero": self.zero}
        if self.stages_per_rank > 1:
            parallel |= {"schedule": "interleaved", "stages_per_rank": self.stages_per_rank}
        if self.zero_bubble:
            parallel |= {"schedule": "zero_bubble"}
        return training.model_copy(
            update={
                "parallel": training.parallel.model_copy(update=parallel),
                "micro_batch_rows": self.rows,
                "activation_checkpointing": self.checkpointing,
            }
        )

    def overrides(self, training: Training) -> list[str]:
        """Return what to set, of a recipe whose training section is given, to ask for this layout."""
        asked = self.asked_of(training)
        keys = {
            f"training.{name}": (getattr(asked, name), getattr(training, name))
            for name in ("micro_batch_rows", "activation_checkpointing")
        }
        keys |= {
            f"training.parallel.{name}": (getattr(asked.parallel, name), getattr(training.parallel, name))
            for name in (*AXES, "schedule", "stages_per_rank", "zero")
        }
        keys = {key: pair for key, pair in keys.items() if pair[0] != pair[1]}
        if training.parallel.dp_replicate is None:  # it is what the others leave
            keys.pop("training.parallel.dp_replicate")
        return [f"{key}={str(wanted).lower()}" for key, (wanted, _) in keys.items()]

    def __str__(self) -> str:
        interleaved = f", {self.stages_per_rank} stages each" if self.stages_per_rank > 1 else ""
        interleaved = ", zero bubble" if self.zero_bubble else interleaved
        recomputed = ", recomputed" if self.checkpointing else ""
        sharded = ", zero 1" if self.zero == 1 else ""
        return f"{self.dims}{interleaved}{sharded}, rows {self.rows}{recomputed}"


def stage_shares(model: Any, layout: Candidate) -> list[list[float]]:
    """Return, for each process along a pipeline, the share of the model's blocks that each of its stages has."""
    pp = layout.dims.pp
    if pp == 1:
        return [[1.0]]
    num_layers = model.num_blocks
    blocks = stage_blocks(num_layers, pp * layout.stages_per_rank)
    return [[len(stage) / num_layers for stage in blocks[rank::pp]] for rank in range(pp)]
