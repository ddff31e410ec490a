"""One optimizer step: micro-batches, accumulated gradients, clipping, the update or its refusal."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from xmtf.models.torch_private import foreach_mul_
from xmtf.parallel.topology.ranks import Ranks
from xmtf.recipe.schema import Training
from xmtf.training.loss.batches import Batch, RowLoader
from xmtf.training.loss.objective import Objective
from xmtf.training.loss.targets import Targets, Weighting, loss_scales, select_targets
from xmtf.training.numerics.precision import computing
from xmtf.training.optim.optimizer import set_learning_rate
from xmtf.training.optim.schedule import learning_rate
from xmtf.training.parallel.layout import Layout
from xmtf.training.parallel.pipeline_parallel import Pipeline

__all__ = ["Feed", "GlobalBatch", "Step", "StepOutcome"]


@dataclass(frozen=True, slots=True)
class GlobalBatch:
    """The rows of one step, cut into micro-batches.

    Attributes:
        batches: Rows of each micro-batch.
        targets: Its predicted positions.
        scales: Factor of its weighted sum; from the denominators of all of them.
    """

    batches: Sequence[Batch]
    targets: Sequence[Targets]
    scales: Sequence[float]

    @property
    def num_real(self) -> int:
        """Positions that are not padding."""
        return sum(part.num_real for part in self.targets)

    @property
    def num_positions(self) -> int:
        """Positions computed, padding included."""
        return sum(part.num_positions for part in self.targets)


@dataclass(slots=True)
class Feed:
    """Gives the global batch of a step, and prepares the next one on another thread meanwhile.

    Attributes:
        loader: Gives micro-batches.
        num_micro: Micro-batches of a step.
        weighting: How targets are weighted.
    """

    loader: RowLoader
    num_micro: int
    weighting: Weighting
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "feed"), repr=False)
    _next: tuple[int, Future[GlobalBatch]] | None = field(default=None, repr=False)

    def get(self, step: int, *, then: int | None = None) -> GlobalBatch:
        """Return the rows of a step; prepare those of step ``then``."""
        ready = self._next if self._next is not None and self._next[0] == step else None
        batch = ready[1].result() if ready is not None else self._read(step)
        self._next = None if then is None else (then, self._pool.submit(self._read, then))
        return batch

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, step: int) -> GlobalBatch:
        batches = [self.loader.batch(step, micro=micro, num_micro=self.num_micro) for micro in range(self.num_micro)]
        targets = [select_targets(batch, self.weighting) for batch in batches]
        return GlobalBatch(batches, targets, loss_scales(targets, self.weighting))


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one step came to.

    Attributes:
        loss: Loss of the global batch, z-loss left out.
        grad_norm: Norm of its gradient before clipping.
        learning_rate: What it was updated with.
        row_losses: Each row's share of the loss.
        sums: Sums by group ``[G + 1, 2]``, on the device.
        seconds: Wall seconds.
        updated: False where loss or gradient was not finite and the step was skipped.
    """

    loss: float
    grad_norm: float
    learning_rate: float
    row_losses: Sequence[float]
    sums: Tensor
    seconds: float
    updated: bool


@dataclass(slots=True)
class Step:
    """Takes optimizer steps.

    Attributes:
        layout: The model as this process holds it.
        objective: Computes micro-batches of it, alone or as a pipeline.
        optimizer: Updates its parameters.
        training: Section of the recipe.
        num_steps: Steps of the whole run, for the schedule.
        seed: Of the recipe; with the step's index it seeds dropout.
    """

    layout: Layout
    objective: Objective | Pipeline
    optimizer: torch.optim.Optimizer
    training: Training
    num_steps: int
    seed: int

    @property
    def model(self) -> Any:
        """The module that trains: the whole model, or this process's part of it."""
        return self.layout.model

    @property
    def ranks(self) -> Ranks:
        """All processes."""
        return self.layout.mesh.world

    def __call__(self, step: int, batch: GlobalBatch) -> StepOutcome:
        """Take step ``step`` (from 0) on its rows.

        Where loss or gradient is not finite nothing is updated.
        """
        start = time.monotonic()
        # Dropout depends on the step alone, so a resumed run draws what an unbroken one would have drawn.
        torch.manual_seed((self.seed << 32) + (self.layout.mask_rank << 26) + step)
        self.layout.start_step()
        self.objective.head.forget_casts()
        losses_R, sums_G2 = self._accumulate(batch)
        norm = self.layout.gradient_norm()
        # The one wait for the device in a step: losses and norm come back in a single copy.
        *row_losses, grad_norm = torch.cat([losses_R, norm.float()[None]]).tolist()
        loss = math.fsum(row_losses)
        rate = learning_rate(step, self.training.optimizer.learning_rate, self.training.schedule, self.num_steps)
        updated = math.isfinite(loss) and math.isfinite(grad_norm)
        if updated:
            self._update(norm, grad_norm, rate)
        return StepOutcome(loss, grad_norm, rate, row_losses, sums_G2, time.monotonic() - start, updated)

    def _accumulate(self, batch: GlobalBatch) -> tuple[Tensor, Tensor]:
        """Return each row's share of the loss ``[R]`` and the sums by group ``[G + 1, 2]``, over all processes."""
        device, mesh = self.objective.device, self.layout.mesh
        losses = [torch.zeros(part.num_rows, device=device) for part in batch.targets]
        sums_G2 = torch.zeros(self.objective.num_groups + 1, 2, device=device)
        micro_batches = list(zip(batch.batches, batch.targets, batch.scales, strict=True))
        with computing(self.training.precision, device):
            for index, micro in self.objective.accumulate(mesh.data.share(micro_batches)):
                losses[index] = micro.rows.detach()
                sums_G2 += micro.groups.detach()
        self.layout.reduce_gradients()
        return mesh.pipe.add(mesh.data.add(torch.cat(losses))), mesh.pipe.add(mesh.data.add(sums_G2))

    def _update(self, norm: Tensor, grad_norm: float, rate: float) -> None:
        limit = self.training.optimizer.clip_norm
        if limit is not None and grad_norm > limit:
            foreach_mul_(self.layout.gradients(), limit / (grad_norm + 1e-6))
        set_learning_rate(self.optimizer, rate)
        self.optimizer.step()
        self.layout.after_update()
