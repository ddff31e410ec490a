"""The checkpoints of one training: found, read, written while training waits or while it continues, and pruned."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch

from xmtf.parallel.topology.ranks import ALONE, Ranks
from xmtf.training.checkpoint import checkpoint
from xmtf.training.checkpoint.shards import Shard
from xmtf.training.checkpoint.state import TrainingProgress
from xmtf.training.parallel.layout import Layout

__all__ = ["Saver", "saving_ranks"]


@dataclass(slots=True)
class Saver:
    """Finds the checkpoints of one training, and writes them, one at a time.

    Attributes:
        folder: Folder of checkpoints.
        layout: What this process holds of the model.
        optimizer: Of what it holds.
        fingerprint: Names the training.
        keep: How many stay, alongside the best.
        ranks: The processes, with a group of their own: those that write are waited for longer than in a step.
        background: Whether training continues while a checkpoint is written.
        done: Called on the first process when a checkpoint is under its name.
        aside_s: Seconds that the slowest checkpoint took which was written in the background.
    """

    folder: Path
    layout: Layout
    optimizer: torch.optim.Optimizer
    fingerprint: str
    keep: int
    ranks: Ranks = ALONE
    background: bool = False
    done: Callable[[TrainingProgress, Path], None] = lambda progress, path: None
    aside_s: float = 0.0
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "save"), repr=False)
    _pending: Future[None] | None = field(default=None, repr=False)

    @property
    def has_others(self) -> bool:
        """Whether there is any whole checkpoint, of whichever training."""
        return bool(checkpoint.list_checkpoints(self.folder))

    def path(self, progress: TrainingProgress) -> Path:
        """Return the checkpoint of that many steps, whether it is there or not."""
        return checkpoint.checkpoint_path(self.folder, progress.step)

    def resume(self, num_steps: int) -> TrainingProgress | None:
        """Take over the newest checkpoint with at most ``num_steps`` steps; return how far it had come, or None."""
        found = checkpoint.find_checkpoint(self.folder, self.fingerprint, num_steps, self.ranks)
        return None if found is None else checkpoint.load(found, self.layout, self.optimizer)

    def last_before(self, step: int) -> Path | None:
        """Return the newest checkpoint of fewer than ``step`` steps."""
        whole = checkpoint.list_checkpoints(self.folder, self.fingerprint)
        return next((path for path in reversed(whole) if checkpoint.read_progress(path).step < step), None)

    def ensure(self, progress: TrainingProgress) -> Path:
        """Save unless that was done; return when it is on disk."""
        self.wait()
        missing = self.path(progress) not in checkpoint.list_checkpoints(self.folder, self.fingerprint)
        if self.layout.mesh.world.agree(missing):
            self.save(progress)
            self.wait()
        return self.path(progress)

    def save(self, progress: TrainingProgress) -> Path:
        """Save; in the background only the copy to the CPU is waited for. An earlier one is waited for, too.

        Raises:
            UserError: The disk has no room, for this checkpoint or the one before.
        """
        # One checkpoint in flight: a second copy of the optimizer on the CPU could exhaust its memory.
        self.wait()
        shards = checkpoint.shards_of(self.layout, self.optimizer, copy=self.background)
        if self.background:
            self._pending = self._pool.submit(self._write, shards, progress)
        else:
            self._write(shards, progress)
        return self.path(progress)

    def wait(self) -> None:
        """Return when everything that was saved is on disk."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def close(self) -> None:
        """Finish what is being written and end the thread."""
        self._pool.shutdown(wait=True)

    def _write(self, shards: dict[str, Shard], progress: TrainingProgress) -> None:
        start = time.monotonic()
        path = checkpoint.write(self.folder, shards, progress, self.fingerprint, self.ranks)
        if self.ranks.first:
            self.done(progress, path)
            checkpoint.prune(self.folder, self.fingerprint, self.keep, also=progress.best_step)
        if self.background:
            self.aside_s = max(self.aside_s, time.monotonic() - start)


def saving_ranks(world: Ranks) -> Ranks:
    """Return all processes with a group of their own, in which the slowest disk is waited for."""
    if world.size == 1 or torch.distributed.get_backend() == "fake":  # a rehearsal saves nothing
        return world
    # Collectives of one group must be issued in one order by all ranks; a thread that writes while training goes on
    # could not keep it. gloo, because what is sent lies on the CPU.
    timeout = None if world.peers is None else world.peers.checkpoint_timeout
    return Ranks(world.rank, world.size, torch.distributed.new_group(backend="gloo", timeout=timeout))
