"""Which layout to train a recipe with on N GPUs: every one that training takes, its memory, its time, and the best.

Nothing is loaded: memory (:mod:`xmtf.training.planning.memory`) and time
(:mod:`xmtf.training.planning.step_time`) are arithmetic on shapes. What training would
refuse (:mod:`xmtf.parallel.topology.constraints`) is not listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Literal

from xmtf.errors import ConfigError
from xmtf.parallel.topology.constraints import violated_constraint
from xmtf.parallel.topology.gpus import GpuPool
from xmtf.parallel.topology.parallel_dims import ParallelDims
from xmtf.recipe import Recipe
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import Estimator, MemoryEstimate, size_text
from xmtf.training.planning.step_time import Clock, StepTime

__all__ = ["LayoutPlan", "Planned", "Planner"]

_AS_FAST = 0.97
"""Layouts that reach this share of the best speed count as equally fast: the simplest of them is recommended."""
_ROWS = (1, 2, 4, 8, 16, 32)
_STAGES = (1, 2, 3, 4, 6)


@dataclass(frozen=True, slots=True)
class Planned:
    """One layout.

    Attributes:
        layout: Processes along each axis, rows of a micro-batch, recomputation, pipeline stages of a process.
        num_micro: Micro-batches of each data-parallel process in a step.
        memory: Of the process that needs most.
        fits: Whether that is in the machine's memory, and in the recipe's ``memory_limit``.
        time: Of a step.
        tokens_per_s: Positions a second, padding included, over all GPUs.
        hours: Of all steps of the recipe.
    """

    layout: Candidate
    num_micro: int
    memory: MemoryEstimate
    fits: bool
    time: StepTime
    tokens_per_s: float
    hours: float

    def to_json(self) -> dict[str, Any]:
        """Return every field; memory in bytes by what it holds."""
        return asdict(self) | {"memory": asdict(self.memory) | {"total": self.memory.total}}


@dataclass(frozen=True, slots=True)
class LayoutPlan:
    """Every layout of a recipe on a machine.

    Attributes:
        layouts: Those that fit, fastest first; then those that do not, by their memory.
        recommended: The simplest of those that fit and are within 3 % of the fastest, or None.
        steps: Of the recipe.
        tokens: Positions of all steps.
        checkpoint: Bytes of one checkpoint.
        export: Bytes of the finished model.
        reasons: Why that one is recommended, or why there is none; what the next ones lack.
    """

    layouts: tuple[Planned, ...]
    recommended: Planned | None
    steps: int
    tokens: int
    checkpoint: float
    export: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Planner:
    """Plans a recipe on a machine.

    Attributes:
        model: Its model's shape, on the meta device.
        recipe: The recipe.
        machine: What there is.
        kernels: Whose memory is counted: a GPU's, or a CPU's, which keep more.
    """

    model: Any
    recipe: Recipe
    machine: GpuPool
    kernels: Literal["gpu", "cpu"] = "gpu"

    def plan(self) -> LayoutPlan:
        """Return every layout that training takes, and the one that is recommended.

        Raises:
            ConfigError: There is none; says what training says of the plainest one.
        """
        training = self.recipe.training
        planned = [self.planned(layout) for layout in self.layouts()]
        if not planned:
            replicas = ParallelDims(dp_replicate=self.machine.num_gpus)
            raise ConfigError(
                f"no layout over {self.machine.num_gpus} GPUs can be trained; with replicas only: "
                f"{violated_constraint(self.model, training, replicas)}"
            )
        planned.sort(key=_order)
        best = _recommended(planned)
        reasons = list(_reasons(planned, best, self.usable))
        if not any(entry.layout.dims.splits for entry in planned):
            refused = violated_constraint(self.model, training, ParallelDims(dp_shard=self.machine.num_gpus))
            reasons += [f"no layout that splits the model is listed: {refused}"] if refused else []
        if best is None and training.loss == "target_compat" and training.micro_batch_rows > 1:
            reasons.append(
                f"micro-batches of a size other than {training.micro_batch_rows} rows change the loss "
                f"`target_compat`; training.loss=target, which does not depend on them, may need fewer"
            )
        positions = self._steps * self._step_positions
        return LayoutPlan(tuple(planned), best, self._steps, positions, *self.file_sizes(), tuple(reasons))

    def layouts(self) -> Iterator[Candidate]:
        """Return every layout that training takes, whether it fits or not.

        Tensor parallelism stays inside a node. Micro-batches have 1, 2, 4, ... 32 rows or as many as in the recipe,
        which alone counts where the loss depends on it. Interleaved pipelines have up to 6 stages a process.
        A recipe with `schedule: zero_bubble` gets such pipelines, and no others.
        """
        training, gpus = self.recipe.training, self.machine.num_gpus
        given = training.micro_batch_rows
        sizes = (given,) if training.loss == "target_compat" else sorted({*_ROWS, given})
        for dims in _all_degrees(gpus, self.machine.per_node):
            each = training.global_batch_rows // dims.data
            zero_bubble = dims.pp > 1 and training.parallel.schedule == "zero_bubble"
            for stages in _STAGES if dims.pp > 1 and not zero_bubble else (1,):
                for rows in sizes:
                    for checkpointing in (False, True):
                        gpu = self.kernels == "gpu"
                        layout = Candidate(dims, rows, checkpointing, gpu, stages, zero_bubble=zero_bubble)
                        if rows <= each and violated_constraint(self.model, layout.asked_of(training), dims) is None:
                            yield layout
                            if dims.dp_shard > 1:
                                yield replace(layout, zero=1)

    def planned(self, layout: Candidate) -> Planned:
        """Return memory and time of a layout."""
        memory, time = self._estimator.estimate(layout), self._clock.step(layout)
        return Planned(
            layout,
            layout.num_micro(self.recipe.training),
            memory,
            fits=memory.total <= self.usable,
            time=time,
            tokens_per_s=self._step_positions / time.seconds,
            hours=self._steps * time.seconds / 3600,
        )

    @property
    def usable(self) -> float:
        """Bytes that training may take on a GPU: what the machine leaves, and the recipe's ``memory_limit``."""
        limit = self.recipe.memory_limit
        return self.machine.usable if limit is None else min(limit, self.machine.usable)

    @cached_property
    def _estimator(self) -> Estimator:
        return replace(Estimator.of(self.model, self.recipe), gpu_memory=self.machine.memory)

    @cached_property
    def _clock(self) -> Clock:
        return Clock(self.model, self.recipe, self.machine, self._estimator.size)

    @property
    def _step_positions(self) -> int:
        return self.recipe.training.global_batch_rows * self._clock.row_positions

    @property
    def _steps(self) -> int:
        training = self.recipe.training
        return training.steps if training.steps is not None else -(-(training.tokens or 0) // self._step_positions)

    def file_sizes(self) -> tuple[float, float]:
        """Return bytes of a checkpoint and of the export: of what trains alone where that is adapters."""
        training, lora = self.recipe.training, self.recipe.model.lora
        size, bytes_each = self._estimator.size, 2 if training.precision == "bf16_pure" else 4
        state = self._estimator.estimate(Candidate(ParallelDims(), 1, checkpointing=True)).optimizer
        if training.optimizer.name == "adamw_8bit":  # written in fp32: blocks are those of one layout
            state = 8.0 * size.trained
        exported = size.trained if lora is not None and not lora.merge else size.total
        return size.trained * bytes_each + state, float(exported * bytes_each)


def _all_degrees(gpus: int, most_slices: int) -> Iterator[ParallelDims]:
    """Return all dims that multiply to a number of processes, with at most so many slices.

    >>> [str(dims) for dims in _all_degrees(2, 1)]
    ['dp_replicate 2', 'dp_shard 2', 'pp 2']
    """
    for tp in _divisors(gpus):
        for pp in _divisors(gpus // tp) if tp <= most_slices else ():
            for shard in _divisors(gpus // (tp * pp)):
                yield ParallelDims(pp, gpus // (tp * pp * shard), shard, tp)


def _divisors(number: int) -> list[int]:
    """Return the divisors of a number.

    >>> _divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [n for n in range(1, number + 1) if number % n == 0]


def _axes(dims: ParallelDims) -> int:
    return sum(degree > 1 for degree in (dims.pp, dims.dp_replicate, dims.dp_shard, dims.tp))


def _order(entry: Planned) -> tuple[object, ...]:
    return not entry.fits, -entry.tokens_per_s if entry.fits else entry.memory.total, _simplicity(entry)


def _simplicity(entry: Planned) -> tuple[int, bool, bool, bool, float]:
    """Order layouts by axes, then without interleaving, without recomputation, sharded whole, then by bytes to send."""
    layout = entry.layout
    return _axes(layout.dims), layout.stages_per_rank > 1, layout.checkpointing, layout.zero == 1, entry.time.sent


def _recommended(planned: list[Planned]) -> Planned | None:
    """Return the simplest of the fastest that fit."""
    fitting = [entry for entry in planned if entry.fits]
    fast = [entry for entry in fitting if entry.tokens_per_s >= _AS_FAST * fitting[0].tokens_per_s]
    return min(fast, key=_simplicity, default=None)


def _reasons(planned: list[Planned], best: Planned | None, usable: float) -> Iterator[str]:
    """Report why a layout is recommended, or how far the smallest is from fitting. Fitting ones come first."""
    if best is None:
        least = min(planned, key=lambda entry: entry.memory.total)
        needed = size_text(least.memory.total)
        yield (
            f"none of {len(planned)} layouts fits in {size_text(usable)}; the smallest needs {needed} with "
            f"{least.layout}"
        )
        return
    fitting = [entry for entry in planned if entry.fits]
    fastest = fitting[0]
    which = "the fastest" if best is fastest else f"the simplest within 3 % of the fastest ({fastest.layout})"
    yield f"{which} of {len(fitting)} that fit in {size_text(usable)}; {len(planned) - len(fitting)} others do not"
    known = (best.layout.dims, fastest.layout.dims)
    other = next((entry for entry in fitting if entry.layout.dims not in known), None)
    if other is not None:
        speed = other.tokens_per_s / fastest.tokens_per_s
        yield f"next best with other dims: {other.layout}, {speed:.0%} of the fastest's speed"
    simpler = [entry for entry in planned if not entry.fits and _axes(entry.layout.dims) < _axes(best.layout.dims)]
    if simpler:
        least = min(simpler, key=lambda entry: entry.memory.total)
        yield f"with fewer axes, the smallest needs {size_text(least.memory.total)}: {least.layout}"
