"""Which layout to train a recipe with on N GPUs: every one that is valid, its memory, its time, and the best.

Nothing is loaded: memory and time are arithmetic on shapes. Memory is :mod:`xmtf.training.memory`. Time of a step,
with M micro-batches in each of ``pp`` stages::

    stage       the longest of: operations of its blocks (a third more with recomputation) and of the head
                    / (peak x efficiency x tp); starting its kernels; shards that FSDP2 gathers and scatters
                + tensor-parallel sums                         bytes / link
                + hidden states to the next stage and back     bytes / network
    step        (M + pp - 1) x slowest stage + sums of gradients once a step

The bubble is ``(pp - 1) / (M + pp - 1)``. Attention is counted over whole rows, because a dense mask is computed
in full. A sum over n processes moves ``2 (n - 1) / n`` of its bytes out of each, a gather or scatter half of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from xmtf.errors import ConfigError
from xmtf.models.bloom import Bloom
from xmtf.models.mt5 import MT5
from xmtf.recipe import Recipe
from xmtf.training.degrees import Degrees, stage_blocks
from xmtf.training.hardware import Gpu
from xmtf.training.memory import Estimator, MemoryEstimate, Spread

__all__ = ["EFFICIENCY", "Machine", "Plan", "Planned", "Planner"]

EFFICIENCY = 0.5
"""Share of the data sheet's peak that matrix products are taken to reach. BLOOM's pretraining reported about 150 of
312 TFLOP/s on A100, recomputation, bubble and communication included."""
EXPECTED_SHARE = 0.14
"""Share of positions that are predicted, as in xP3."""
_KERNELS_S = 80 * 5e-6
"""Seconds to start the kernels of a block's forward and backward pass: what small blocks are bound by."""
_AS_FAST = 0.97
"""Layouts that reach this share of the best speed count as equally fast: the simplest of them is recommended."""
_RESERVE = 0.06
_CONTEXT = 2**30
_ROWS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to train on.

    Attributes:
        gpu: The card.
        num_gpus: How many.
        memory: Bytes of each that may be used.
        per_node: GPUs of a node.
        efficiency: Share of the peak that matrix products reach.
    """

    gpu: Gpu
    num_gpus: int
    memory: float
    per_node: int = 8
    efficiency: float = EFFICIENCY

    @property
    def usable(self) -> float:
        """Bytes left after the driver's context (1 GiB) and 6 % for fragmentation and communication buffers."""
        return self.memory * (1 - _RESERVE) - _CONTEXT

    def bandwidth(self, processes: int) -> float:
        """Return bytes a second between neighbouring ``processes``: inside a node, or over the network."""
        return self.gpu.link if processes <= self.per_node else self.gpu.network


@dataclass(frozen=True, slots=True)
class Planned:
    """One layout.

    Attributes:
        degrees: Processes along each axis.
        rows: Rows of a micro-batch.
        checkpointing: Recompute activations.
        num_micro: Micro-batches of each data-parallel process in a step.
        memory: Of the process that needs most.
        fits: Whether that is in the machine's memory.
        bubble: Share of a step that a stage waits for others.
        communication: Bytes that a process sends in a step.
        step_s: Seconds a step.
        tokens_per_s: Positions a second, padding included, over all GPUs.
        hours: Of all steps of the recipe.
    """

    degrees: Degrees
    rows: int
    checkpointing: bool
    num_micro: int
    memory: MemoryEstimate
    fits: bool
    bubble: float
    communication: float
    step_s: float
    tokens_per_s: float
    hours: float

    def to_json(self) -> dict[str, Any]:
        """Return every field; memory in bytes by what it holds."""
        return asdict(self) | {"memory": asdict(self.memory) | {"total": self.memory.total}}


@dataclass(frozen=True, slots=True)
class Plan:
    """Every valid layout of a recipe on a machine.

    Attributes:
        layouts: Fastest first, those that fit before those that do not.
        recommended: The simplest of those that fit and are within 3 % of the fastest, or None.
        steps: Of the recipe.
        tokens: Positions of all steps.
        checkpoint: Bytes of one checkpoint.
        export: Bytes of the finished model.
        reason: Why that one is recommended, or why there is none.
    """

    layouts: tuple[Planned, ...]
    recommended: Planned | None
    steps: int
    tokens: int
    checkpoint: float
    export: float
    reason: str


@dataclass(frozen=True)
class Planner:
    """Plans a recipe on a machine.

    Attributes:
        model: Its model's shape, on the meta device.
        recipe: The recipe.
        machine: What there is.
    """

    model: Any
    recipe: Recipe
    machine: Machine

    def plan(self) -> Plan:
        """Return every valid layout and the one that is recommended.

        Raises:
            ConfigError: No layout is valid: the rows do not divide over so many GPUs.
        """
        training = self.recipe.training
        planned = [self.planned(layout) for layout in self.layouts()]
        if not planned:
            raise ConfigError(
                f"training.global_batch_rows: {training.global_batch_rows} rows cannot be shared out over "
                f"{self.machine.num_gpus} GPUs by any layout; change one of them"
            )
        planned.sort(key=lambda entry: (not entry.fits, -entry.tokens_per_s, _axes(entry.degrees)))
        positions = training.global_batch_rows * self._row_positions
        steps = training.steps if training.steps is not None else -(-(training.tokens or 0) // positions)
        state = self._estimator.estimate(Spread(Degrees(), 1, checkpointing=True)).optimizer
        bytes_each = 2 if training.precision == "bf16_pure" else 4
        weights = float(self._estimator.size.total * bytes_each)
        best = _recommended(planned)
        reason = _reason(planned, best, self.machine)
        return Plan(tuple(planned), best, steps, steps * positions, weights + state, weights, reason)

    def layouts(self) -> Iterator[Spread]:
        """Return every layout that the model and the batch allow, whether it fits or not."""
        training, gpus = self.recipe.training, self.machine.num_gpus
        for tp in _divisors(gpus, self.machine.per_node):
            for pp in _divisors(gpus // tp, self._most_stages):
                for shard in _divisors(gpus // (tp * pp)) if self._slices(tp) else ():
                    degrees = Degrees(pp, gpus // (tp * pp * shard), shard, tp)
                    each, rest = divmod(training.global_batch_rows, degrees.data)
                    if rest:
                        continue
                    for rows in self._rows(each):
                        if each // rows >= pp:
                            yield Spread(degrees, rows, checkpointing=False, gpu=True)
                            yield Spread(degrees, rows, checkpointing=True, gpu=True)

    def planned(self, layout: Spread) -> Planned:
        """Return memory and time of a layout."""
        degrees, training = layout.degrees, self.recipe.training
        num_micro = training.global_batch_rows // (degrees.data * layout.rows)
        memory = self._estimator.estimate(layout)
        waves = num_micro + degrees.pp - 1
        slowest, sent_each = self._stage(layout)
        once_s, sent_once = self._once(degrees)
        step_s = waves * slowest + once_s
        positions = training.global_batch_rows * self._row_positions
        steps = training.steps if training.steps is not None else -(-(training.tokens or 0) // positions)
        return Planned(
            degrees=degrees,
            rows=layout.rows,
            checkpointing=layout.checkpointing,
            num_micro=num_micro,
            memory=memory,
            fits=memory.total <= self.machine.usable,
            bubble=(degrees.pp - 1) / waves,
            communication=num_micro * sent_each + sent_once,
            step_s=step_s,
            tokens_per_s=positions / step_s,
            hours=steps * step_s / 3600,
        )

    @cached_property
    def _estimator(self) -> Estimator:
        return Estimator.of(self.model, self.recipe)

    @property
    def _lengths(self) -> tuple[int, int]:
        """Positions of a row in encoder and decoder."""
        packing = self.recipe.tokens.packing
        if isinstance(self.model, MT5):
            return packing.sequence_length, packing.target_length or packing.sequence_length
        return 0, packing.sequence_length

    @property
    def _row_positions(self) -> int:
        return sum(self._lengths)

    @property
    def _most_stages(self) -> int:
        return self.model.config.num_layers + 2 if isinstance(self.model, Bloom) else 1

    @property
    def _num_blocks(self) -> int:
        if isinstance(self.model, MT5):
            return self.model.config.num_layers + self.model.config.num_decoder_layers
        if isinstance(self.model, Bloom):
            return self.model.config.num_layers
        return int(self.model.network.config.get_text_config(decoder=True).num_hidden_layers)

    def _slices(self, tp: int) -> bool:
        """Whether the model can be sliced over ``tp`` processes."""
        if tp == 1:
            return True
        if isinstance(self.model, Bloom):
            return self.model.config.num_heads % tp == 0
        if isinstance(self.model, MT5):
            return self.model.config.num_heads % tp == 0 and self.model.config.feedforward_size % tp == 0
        return False

    def _rows(self, each: int) -> tuple[int, ...]:
        """Return sizes of micro-batches; where the loss is normalised by micro-batch, the recipe's alone."""
        given = self.recipe.training.micro_batch_rows
        sizes = (given,) if self.recipe.training.loss == "target_compat" else sorted({*_ROWS, given})
        return tuple(rows for rows in sizes if each % rows == 0)

    def _flops(self, rows: int, *, checkpointing: bool) -> tuple[float, float]:
        """Return operations of a micro-batch in all blocks and in the head, forward and backward."""
        inputs, targets = self._lengths
        size = self._estimator.size
        attended = (inputs + targets) / 2 if inputs else targets
        blocks = size.training_flops(
            rows * targets,
            scored=0,
            attended=attended,
            encoder_positions=rows * inputs,
            encoder_attended=inputs,
        )
        head = size.training_flops(0, scored=round(EXPECTED_SHARE * rows * targets))
        return blocks * (4 / 3 if checkpointing else 1), head

    def _stage(self, layout: Spread) -> tuple[float, float]:
        """Return seconds of the slowest stage for one micro-batch, and bytes that one process sends for it."""
        degrees, machine = layout.degrees, self.machine
        speed = machine.gpu.peak * machine.efficiency * degrees.tp
        blocks, head = self._flops(layout.rows, checkpointing=layout.checkpointing)
        shares = self._shares(degrees.pp)
        compute = max(
            (share * blocks + (head if stage == degrees.pp - 1 else 0)) / speed for stage, share in enumerate(shares)
        )
        share = max(shares)
        started = share * self._num_blocks * _KERNELS_S * (4 / 3 if layout.checkpointing else 1)
        sums = self._sums(layout) * share
        passed = self._passed(layout)
        exposed = sums / machine.bandwidth(degrees.tp) + passed / machine.bandwidth(degrees.total)
        gathered = self._gathered(degrees) * share
        meanwhile = gathered / machine.bandwidth(degrees.tp * degrees.dp_shard)
        return max(compute, meanwhile, started) + exposed, sums + passed + gathered

    def _shares(self, stages: int) -> list[float]:
        if stages == 1:
            return [1.0]
        num_layers = self.model.config.num_layers
        return [len(blocks) / num_layers for blocks in stage_blocks(num_layers, stages)]

    def _sums(self, layout: Spread) -> float:
        """Return bytes that tensor-parallel sums of a micro-batch send, in all blocks.

        Two a block of BLOOM or of mT5's encoder, three of its decoder; as many backward; and again where activations
        are recomputed.
        """
        tp = layout.degrees.tp
        if tp == 1:
            return 0.0
        inputs, targets = self._lengths
        config = self.model.config
        per_layer = 2 * targets if isinstance(self.model, Bloom) else 3 * targets + 2 * inputs
        numbers = layout.rows * per_layer * config.num_layers * config.hidden_size
        times = 3 if layout.checkpointing else 2
        return float(times * numbers * self._compute_bytes * 2 * (tp - 1) / tp)

    def _passed(self, layout: Spread) -> float:
        """Return bytes of hidden states and their gradients that a stage sends for a micro-batch."""
        if layout.degrees.pp == 1:
            return 0.0
        residual = 2 if self.recipe.training.precision == "bf16_pure" else 4
        return float(2 * layout.rows * self._lengths[1] * self.model.hidden_size * residual)

    def _gathered(self, degrees: Degrees) -> float:
        """Return bytes that FSDP2 sends for a micro-batch: blocks gathered twice, their gradients scattered in fp32."""
        if degrees.dp_shard == 1:
            return 0.0
        body = self._estimator.size.body / degrees.tp
        scattered = body * (2 * self._compute_bytes + 4) * (degrees.dp_shard - 1) / degrees.dp_shard
        replicas = degrees.dp_replicate
        return scattered + 2 * (replicas - 1) / replicas * 4 * body / degrees.dp_shard

    def _once(self, degrees: Degrees) -> tuple[float, float]:
        """Return seconds and bytes of what is exchanged once a step, after all micro-batches."""
        size = self._estimator.size
        tables = (size.embedding + size.head) / degrees.tp
        body = 0.0 if degrees.dp_shard > 1 else size.body / degrees.tp * max(self._shares(degrees.pp))
        data = degrees.data
        over_data = 2 * (data - 1) / data * 4 * (tables + body)
        tied = 4 * tables if degrees.pp > 1 else 0.0
        seconds = over_data / self.machine.bandwidth(degrees.tp * data) + tied / self.machine.bandwidth(degrees.total)
        return seconds, over_data + tied

    @property
    def _compute_bytes(self) -> int:
        return 4 if self.recipe.training.precision == "fp32" else 2


def _divisors(number: int, most: int | None = None) -> list[int]:
    """Return the divisors of a number, up to ``most``.

    >>> _divisors(12, 6)
    [1, 2, 3, 4, 6]
    """
    return [n for n in range(1, min(number, most or number) + 1) if number % n == 0]


def _axes(degrees: Degrees) -> int:
    return sum(degree > 1 for degree in (degrees.pp, degrees.dp_replicate, degrees.dp_shard, degrees.tp))


def _recommended(planned: list[Planned]) -> Planned | None:
    """Return the layout with fewest axes, then without recomputation, then with least to send, of the fastest."""
    fitting = [entry for entry in planned if entry.fits]
    fast = [entry for entry in fitting if entry.tokens_per_s >= _AS_FAST * fitting[0].tokens_per_s]
    return min(fast, key=lambda entry: (_axes(entry.degrees), entry.checkpointing, entry.communication), default=None)


def _reason(planned: list[Planned], best: Planned | None, machine: Machine) -> str:
    """Say why a layout is recommended, or how far the smallest is from fitting. Fitting ones come first."""
    usable = machine.usable / 2**30
    if best is None:
        least = min(planned, key=lambda entry: entry.memory.total)
        return (
            f"none of {len(planned)} layouts fits in {usable:.1f} GiB; the least is {least.memory.total / 2**30:.1f} "
            f"GiB with {least.degrees}"
        )
    fitting = [entry for entry in planned if entry.fits]
    text = "the fastest" if best is fitting[0] else f"the simplest within 3 % of the fastest ({fitting[0].degrees})"
    text += f" of {len(fitting)} that fit in {usable:.1f} GiB (of {len(planned)})"
    other = next((entry for entry in fitting if entry.degrees not in (best.degrees, fitting[0].degrees)), None)
    if other is not None:
        text += f"; next {other.degrees} with {other.tokens_per_s / fitting[0].tokens_per_s:.0%} of the fastest's speed"
    simpler = [entry for entry in planned if not entry.fits and _axes(entry.degrees) < _axes(best.degrees)]
    if simpler:
        least = min(simpler, key=lambda entry: entry.memory.total)
        text += f"; {least.degrees} alone would need {least.memory.total / 2**30:.1f} GiB"
    return text
