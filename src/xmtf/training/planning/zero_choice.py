"""What ``dp_shard`` shards where a recipe leaves ``training.parallel.zero`` out: the faster that fits, as planned."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal

import torch

from xmtf.parallel.topology.gpus import GPUS, Gpu, GpuPool
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe import Recipe
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.planner import Planner

__all__ = ["choose_zero", "pool_here", "with_zero"]


def choose_zero(planner: Planner, layout: Candidate) -> Literal[1, 3]:
    """Return what a layout is to shard: 3 where nothing fits, or both are as fast.

    Args:
        planner: Knows the model, the recipe and the machine.
        layout: The layout; its own ``zero`` does not count.
    """
    if layout.dims.dp_shard == 1:
        return 3
    whole, optimizer = (planner.planned(replace(layout, zero=zero)) for zero in (3, 1))
    return 1 if optimizer.fits and optimizer.tokens_per_s > whole.tokens_per_s else 3


def with_zero(model: Any, recipe: Recipe, dims: ParallelDims, pool: GpuPool | None) -> Recipe:
    """Return a recipe that names ``training.parallel.zero``.

    Args:
        model: Its model, whole; may be on the meta device.
        recipe: The recipe; what it names stays.
        dims: Of its processes.
        pool: What they run on; None where that is unknown (a CPU, another card): then all is sharded, as that takes
            the least memory.
    """
    parallel = recipe.training.parallel
    if parallel.zero is not None:
        return recipe
    zero: Literal[1, 3] = 3
    if pool is not None:
        zero = choose_zero(Planner(model, recipe, pool), Candidate.of(recipe, dims))
    training = recipe.training.model_copy(update={"parallel": parallel.model_copy(update={"zero": zero})})
    return recipe.model_copy(update={"training": training})


def pool_here(num_gpus: int, device: torch.device) -> GpuPool | None:
    """Return the GPUs that training runs on, all taken to be like this one; None for what data sheets do not cover."""
    if device.type != "cuda":
        return None
    found = torch.cuda.get_device_properties(device)
    card = _card(found.name)
    if card is None:
        return None
    return GpuPool(card, num_gpus, float(found.total_memory), int(os.environ.get("LOCAL_WORLD_SIZE", "8")))


def _card(name: str) -> Gpu | None:
    """Return the card that torch calls by a name such as ``NVIDIA A100-SXM4-80GB``.

    >>> _card("NVIDIA A100-SXM4-80GB").name, _card("NVIDIA H200").name, _card("Tesla V100-SXM2-32GB").name
    ('a100', 'h200', 'v100')
    >>> _card("NVIDIA GeForce RTX 4090") is None
    True
    """
    return next((gpu for key, gpu in GPUS.items() if key.upper() in name.upper()), None)
