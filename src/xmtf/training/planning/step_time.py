"""How long a training step takes on a machine, estimated from shapes alone.

With M micro-batches through ``pp`` processes of ``v`` pipeline stages each (1, or more that are interleaved)::

    process     the longest of: operations of its blocks (a third more with recomputation) and of the head
                    / (peak x efficiency x tp); starting its kernels; shards that FSDP2 gathers and scatters
                + tensor-parallel sums                         bytes / link
                what sliced matrices gather again for their gradients travels alongside products
                + hidden states to the next stage and back     v x bytes / network
                shards travel once a step, and alongside nothing, with ``zero: 1``; replicas' sums always do
    step        (M + (pp - 1) / v) x slowest process + sums of gradients once a step

The bubble is ``(pp - 1) / (v M + pp - 1)``; with zero bubble ``v`` is 3. Attention is counted over whole rows, because
a dense mask is computed in full. A sum over n processes moves ``2 (n - 1) / n`` of its bytes out of each, a gather or
scatter half of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xmtf.models import ModelSize
from xmtf.models.mt5 import MT5
from xmtf.parallel.topology.gpus import GpuPool
from xmtf.recipe import Recipe
from xmtf.training.planning.candidate import Candidate, stage_shares
from xmtf.training.planning.memory import num_blocks

__all__ = ["EXPECTED_SHARE", "Clock", "StepTime"]

EXPECTED_SHARE = 0.14
"""Share of positions that are predicted, as in xP3."""
_KERNELS_S = 80 * 5e-6
"""Seconds to start the kernels of a block's forward and backward pass: what small blocks are bound by."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """One step.

    Attributes:
        seconds: How long it takes.
        bubble: Share of it that a process waits for others.
        sent: Bytes that a process sends.
        mfu: Useful operations, recomputed ones not counted, over what all GPUs could do by their data sheet.
    """

    seconds: float
    bubble: float
    sent: float
    mfu: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Times steps of one training.

    Attributes:
        model: Its model's shape, on the meta device.
        recipe: The recipe.
        machine: What there is.
        size: Parameters of the model.
    """

    model: Any
    recipe: Recipe
    machine: GpuPool
    size: ModelSize

    @property
    def row_positions(self) -> int:
        """Positions of a row, encoder and decoder together."""
        return sum(self._lengths)

    def step(self, layout: Candidate) -> StepTime:
        """Return the time of a step in a layout."""
        waiting = layout.waiting
        num_micro = layout.num_micro(self.recipe.training)
        slowest, sent_each = self._process(layout)
        once_s, sent_once = self._once(layout)
        seconds = (num_micro + waiting) * slowest + once_s
        useful = num_micro * layout.dims.data * sum(self._flops(layout.rows, checkpointing=False))
        return StepTime(
            seconds=seconds,
            bubble=waiting / (num_micro + waiting),
            sent=num_micro * sent_each + sent_once,
            mfu=useful / (seconds * self.machine.gpu.peak * layout.dims.total),
        )

    @property
    def _lengths(self) -> tuple[int, int]:
        """Positions of a row in encoder and decoder."""
        packing = self.recipe.tokens.packing
        if isinstance(self.model, MT5):
            return packing.sequence_length, packing.target_length or packing.sequence_length
        return 0, packing.sequence_length

    def _flops(self, rows: int, *, checkpointing: bool) -> tuple[float, float]:
        """Return operations of a micro-batch in all blocks and in the head, forward and backward."""
        inputs, targets = self._lengths
        blocks = self.size.training_flops(
            rows * targets,
            scored=0,
            attended=(inputs + targets) / 2 if inputs else targets,
            encoder_positions=rows * inputs,
            encoder_attended=inputs,
        )
        head = self.size.training_flops(0, scored=round(EXPECTED_SHARE * rows * targets))
        return blocks * (4 / 3 if checkpointing else 1), head

    def _process(self, layout: Candidate) -> tuple[float, float]:
        """Return seconds of the slowest process for one micro-batch, and bytes that one sends for it."""
        dims, machine = layout.dims, self.machine
        speed = machine.gpu.peak * machine.efficiency * dims.tp
        blocks, head = self._flops(layout.rows, checkpointing=layout.checkpointing)
        shares = [sum(stages) for stages in stage_shares(self.model, layout)]
        compute = max(*(share * blocks for share in shares), shares[-1] * blocks + head) / speed
        share = max(shares)
        started = share * num_blocks(self.model) * _KERNELS_S * (4 / 3 if layout.checkpointing else 1)
        sums = self._sums(layout) * share
        passed = self._passed(layout)
        exposed = sums / machine.bandwidth(dims.tp) + passed / machine.bandwidth(dims.total)
        gathered = self._gathered(layout) * share if layout.zero == 3 else 0.0
        again = self._gathered_again(layout) * share
        meanwhile = gathered / machine.bandwidth(dims.tp * dims.dp_shard) + again / machine.bandwidth(dims.tp)
        return max(compute, meanwhile, started) + exposed, sums + passed + gathered + again

    def _sums(self, layout: Candidate) -> float:
        """Return bytes that tensor-parallel sums of a micro-batch send, in all blocks, in the format of computation.

        A sum is a scatter behind one pair of matrices and a gather before the next. Forward two a block of a causal
        model or of mT5's encoder, three of its decoder, and again where activations are recomputed; backward as many,
        and one over what mT5's encoder gave to all blocks of its decoder.
        """
        pairs, inputs = self._sliced_pairs(layout), layout.rows * self._lengths[0]
        return self._summed(layout, pairs * (2 + layout.checkpointing) + inputs)

    def _gathered_again(self, layout: Candidate) -> float:
        """Return bytes of what matrices read, gathered again for their gradients while those of inputs are computed."""
        return self._summed(layout, self._trained_share * self._sliced_pairs(layout) / 2)

    def _sliced_pairs(self, layout: Candidate) -> float:
        """Return the positions of a micro-batch times the pairs of sliced matrices that they go through."""
        inputs, targets = self._lengths
        if layout.dims.tp == 1:
            return 0.0
        if isinstance(self.model, MT5):
            return float(layout.rows * self.model.config.num_layers * (3 * targets + 2 * inputs))
        return float(layout.rows * num_blocks(self.model) * 2 * targets)

    def _summed(self, layout: Candidate, positions: float) -> float:
        tp = layout.dims.tp
        return float(positions * self.model.hidden_size * self._compute_bytes * 2 * (tp - 1) / tp)

    def _passed(self, layout: Candidate) -> float:
        """Return bytes of hidden states and their gradients that the stages of a process send for a micro-batch."""
        if layout.dims.pp == 1:
            return 0.0
        residual = 2 if self.recipe.training.precision == "bf16_pure" else 4
        each = 2 * layout.rows * self._lengths[1] / layout.dims.tp * self.model.hidden_size * residual
        return float(layout.stages_per_rank * each)

    def _gathered(self, layout: Candidate) -> float:
        """Return bytes that FSDP2 sends for all blocks, in one micro-batch, or with ``zero: 1`` in a step.

        Blocks are gathered for the forward and for the backward pass, or once; their gradients are scattered in fp32.
        """
        dims = layout.dims
        if dims.dp_shard == 1:
            return 0.0
        gathers = 2 if layout.zero == 3 else 1
        sent = gathers * self._compute_bytes + 4 * self._trained_share
        return self.size.body / dims.tp * sent * (dims.dp_shard - 1) / dims.dp_shard

    def _once(self, layout: Candidate) -> tuple[float, float]:
        """Return seconds and bytes of what is exchanged once a step, after all micro-batches."""
        dims, size, bandwidth = layout.dims, self.size, self.machine.bandwidth
        tables = self._trained_share * (size.embedding + size.head) / dims.tp
        share = max(sum(stages) for stages in stage_shares(self.model, layout))
        shard = self._trained_share * size.body * share / dims.tp / dims.dp_shard
        data, copies = dims.data, dims.dp_replicate
        over_data = 2 * (data - 1) / data * 4 * tables + 2 * (copies - 1) / copies * 4 * shard
        tied = 4 * tables if dims.pp > 1 else 0.0
        gathered = self._gathered(layout) * share if layout.zero == 1 else 0.0
        seconds = over_data / bandwidth(dims.tp * data) + tied / bandwidth(dims.total)
        return seconds + gathered / bandwidth(dims.tp * dims.dp_shard), over_data + tied + gathered

    @property
    def _trained_share(self) -> float:
        return self.size.trained / self.size.total

    @property
    def _compute_bytes(self) -> int:
        return 4 if self.recipe.training.precision == "fp32" else 2
