"""How GPUs can hold a model that is only read, and one batch of ranking rehearsed on them.

A rehearsal runs the engine's own code for one process of each of some pipeline stages, with tensors that are shapes
alone and a group of processes of the true size. Left out: numbers, the other processes, kernels of a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.engine.memory import positions_of
from xmtf.evaluation.ranking.rank import score_batches
from xmtf.models.layers.cut import held_numbers
from xmtf.models.torch_private import FakeTensorMode
from xmtf.parallel.materialize import CutModel
from xmtf.parallel.reading import as_reader, check_reading, parts_to_read, place_to_read
from xmtf.parallel.rehearsal.fake import as_one_of, fill_buffers, groups_by_name
from xmtf.parallel.rehearsal.watch import Exchange, Watch
from xmtf.parallel.topology.constraints import reading_fault
from xmtf.parallel.topology.gpus import GpuPool
from xmtf.parallel.topology.mesh import Mesh, mesh_of
from xmtf.parallel.topology.parallel_dims import ParallelDims

__all__ = [
    "ReadingLayout",
    "ReadingRehearsal",
    "RehearsedReading",
    "plan_reading",
    "read_dims",
    "rehearse_reading",
    "stored_dtype",
]

_CPU = torch.device("cpu")
_PROMPT = 2048
"""Positions of the longest prompt where a recipe sets none: a layout fits that leaves room for one."""
_CHOICES, _CHOICE = 3, 10
Shape = Callable[[], Any]
"""Returns a model on the meta device; it is cut in place."""


@dataclass(frozen=True, slots=True)
class ReadingLayout:
    """One way to hold a model.

    Attributes:
        dims: Processes along each axis; copies are replicas.
        weights: Bytes of the process that holds most.
        positions: Of prompts and choices that are computed together, as the engine chooses them.
        fits: Whether the weights leave room for a prompt of 2,048 positions.
    """

    dims: ParallelDims
    weights: int
    positions: int
    fits: bool


@dataclass(frozen=True, slots=True)
class ReadingRehearsal:
    """What one process came to in a batch.

    Attributes:
        rank: Of the process.
        stage: Along the pipeline.
        peak: Most bytes of live storages.
        weights: Bytes of them that are weights; the rest are keys, values and what layers work with.
        exchanges: Messages, most bytes first.
        operations: Of torch, dispatched.
    """

    rank: int
    stage: int
    peak: int
    weights: int
    exchanges: tuple[Exchange, ...]
    operations: int


@dataclass(frozen=True, slots=True)
class RehearsedReading:
    """A layout that was rehearsed.

    Attributes:
        layout: The layout.
        prompts: Of the batch, each with three choices of ten tokens.
        prompt: Tokens of each.
        stages: What the first process of some pipeline stages came to.
        seconds: How long the rehearsal took.
    """

    layout: ReadingLayout
    prompts: int
    prompt: int
    stages: tuple[ReadingRehearsal, ...]
    seconds: float


def plan_reading(shape: Shape, dtype: torch.dtype, pool: GpuPool) -> list[ReadingLayout]:
    """Return the layouts that a model can be read under: those that fit first, of them those with most copies.

    Of as many copies ``tp`` comes first as far as it stays within a node: with ``pp`` one process computes at a time.
    """
    sizes = [size for size in range(1, pool.num_gpus + 1) if pool.num_gpus % size == 0]
    model = shape()
    found: list[ReadingLayout] = []
    for size in sizes:
        for tp in (tp for tp in range(1, size + 1) if size % tp == 0):
            dims = ParallelDims(pp=size // tp, dp_replicate=pool.num_gpus // size, tp=tp)
            if reading_fault(model, dims) is None:
                found.append(_layout(shape, dims, dtype, pool))

    def order(each: ReadingLayout) -> tuple[bool, int, bool, int]:
        return not each.fits, -each.dims.dp_replicate, each.dims.tp > pool.per_node, each.dims.pp

    return sorted(found, key=order)


def stored_dtype(wanted: str) -> torch.dtype:
    """Return what a model is computed in, by ``evaluation.dtype``; ``auto`` is taken for bf16."""
    return {"fp32": torch.float32, "fp16": torch.float16}.get(wanted, torch.bfloat16)


def read_dims(text: str, num_gpus: int) -> ParallelDims:
    """Return a layout as a user writes it: ``tp=8``, or ``pp=2 tp=4``; copies are what the others leave.

    Raises:
        ConfigError: A key or number that is none, or processes that make no whole copies.
    """
    keys: dict[str, int] = {}
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        if name not in ("pp", "tp"):
            raise UnknownNameError("key", name, ("pp", "tp"), "--layout of an evaluation")
        if not number.isdigit() or int(number) == 0 or name in keys:
            raise ConfigError(f"--layout {word}: give each key once with a whole number, such as {name}=1")
        keys[name] = int(number)
    size = keys.get("pp", 1) * keys.get("tp", 1)
    if num_gpus % size:
        raise ConfigError(
            f"--layout {text!r}: {size} processes hold a copy, and --gpus {num_gpus} is no multiple of it"
        )
    return ParallelDims(pp=keys.get("pp", 1), dp_replicate=num_gpus // size, tp=keys.get("tp", 1))


def rehearse_reading(
    shape: Shape, dtype: torch.dtype, pool: GpuPool, dims: ParallelDims | None = None
) -> RehearsedReading:
    """Rehearse a batch of ranking: in the first process of the first, the middle and the last pipeline stage.

    Args:
        shape: Returns the model.
        dtype: What it is computed in.
        pool: The GPUs.
        dims: The layout; None for the first that fits.

    Raises:
        ConfigError: No layout fits, the model cannot be cut so, it is not cut, or it has an encoder.
    """
    started = time.monotonic()
    if dims is None:
        best = next((each for each in plan_reading(shape, dtype, pool) if each.fits), None)
        if best is None:
            raise ConfigError("no layout fits; give the layout to rehearse with --layout")
        dims = best.dims
    if not dims.splits:
        raise ConfigError("--rehearse: a model that is whole in each process is not rehearsed; give --layout tp=2, say")
    model = shape()
    check_reading(model, dims, "--layout")
    if model.family != "causal":
        raise ConfigError("--rehearse: encoders read segments as numbers, which a rehearsal has none of; omit it")
    layout = _layout(shape, dims, dtype, pool)
    prompt = min(_PROMPT, layout.positions) - _CHOICES * _CHOICE
    prompts = max(1, layout.positions // (prompt + _CHOICES * (_CHOICE - 1)))
    batch = (layout.positions, prompts, prompt)
    stages = tuple(_rehearsed(shape(), dims, dtype, stage, batch) for stage in _stages(dims.pp))
    return RehearsedReading(layout, prompts, prompt, stages, time.monotonic() - started)


def _stages(pp: int) -> list[int]:
    return sorted({0, pp // 2, pp - 1})


def _layout(shape: Shape, dims: ParallelDims, dtype: torch.dtype, pool: GpuPool) -> ReadingLayout:
    weights, positions = 0, []
    for stage in _stages(dims.pp):
        with _cut(shape(), dims, dtype, stage) as (cut, mesh):
            reader = as_reader(cut.parts, mesh)
            numbers, table = held_numbers(reader.parameters()), reader.head_weight()
            embedding = held_numbers([table]) if table.ndim == 2 else 0
            size = numbers * dtype.itemsize
            weights = max(weights, size)
            positions.append(
                positions_of(int(pool.memory) - size, numbers, embedding, reader.hidden_size, dtype.itemsize)
            )
    return ReadingLayout(dims, weights, min(positions), weights < pool.usable and min(positions) >= _PROMPT)


@contextmanager
def _cut(model: Any, dims: ParallelDims, dtype: torch.dtype, stage: int) -> Iterator[tuple[CutModel, Mesh]]:
    """Be the first process of a pipeline stage for the block; yield what it holds, without memory."""
    model.eval()
    if not dims.splits:
        mesh = Mesh(ParallelDims())
        yield parts_to_read(model, dtype, mesh), mesh
        return
    of_one = ParallelDims(pp=dims.pp, tp=dims.tp)
    with as_one_of(of_one.total, stage * of_one.total // dims.pp) as ranks:
        mesh = mesh_of(of_one, ranks, _CPU)
        yield parts_to_read(model, dtype, mesh), mesh


def _rehearsed(
    model: Any, dims: ParallelDims, dtype: torch.dtype, stage: int, batch: tuple[int, int, int]
) -> ReadingRehearsal:
    positions, prompts, prompt = batch
    rows = [tuple(range(2 + row, 2 + row + prompt)) for row in range(prompts)]
    choices = [[tuple(range(first, first + _CHOICE)) for first in range(2, 2 + _CHOICES)]] * prompts
    with _cut(model, dims, dtype, stage) as (cut, mesh):
        axes = {name: "pp" if axis == "ends" else axis for name, axis in groups_by_name(mesh).items()}
        with FakeTensorMode(allow_non_fake_inputs=True), Watch(axes) as watch:
            fill_buffers(cut.parts)
            reader = place_to_read(cut, mesh, _CPU)
            weights = watch.live
            watch.forget()
            for _ in score_batches(reader, rows, choices, range(prompts), pad=0, batch_tokens=positions):
                pass
            return ReadingRehearsal(
                mesh.world.rank, stage, watch.peak, weights, tuple(watch.exchanges()), watch.operations
            )
