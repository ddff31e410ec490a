"""Processes that read a model together, as ``evaluation.parallel`` has it: joined, and laid out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from xmtf.models.device import choose_device
from xmtf.parallel.topology.mesh import Mesh, mesh_of
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.parallel.topology.ranks import Ranks, all_processes
from xmtf.recipe.sections.processes import EvaluationParallel, Timeouts

__all__ = ["joined_to_read", "reading_dims"]

_RESUMES = "after the last batch that was written down"


def reading_dims(parallel: EvaluationParallel, copies: int) -> ParallelDims:
    """Return the processes along each axis; copies of the model are replicas."""
    return ParallelDims(pp=parallel.pp, dp_replicate=copies, tp=parallel.tp)


@contextmanager
def joined_to_read(
    parallel: EvaluationParallel, copies: int, device: str, timeouts: Timeouts, flight: Path | None = None
) -> Iterator[tuple[Ranks, Mesh | None]]:
    """Join the processes that ``torchrun`` started, for the block; yield them, and by axis where the model is cut.

    Args:
        parallel: How the model is cut.
        copies: Of the model, over all processes.
        device: As in a recipe.
        timeouts: How long they wait for each other.
        flight: Folder for torch's flight recorders, where they lose each other.

    Raises:
        ConfigError: This machine has fewer GPUs than processes.
        LostProcessError: Another process ended, hangs or came too late; in one process, the others end silently.
    """
    dims = reading_dims(parallel, copies)
    with all_processes(device, timeouts, flight, resumes=_RESUMES) as ranks:
        kind = choose_device(device, "training.device").type
        yield ranks, mesh_of(dims, ranks, torch.device(kind)) if dims.splits else None
