"""How much memory a training step needs on each process, estimated from the shape alone.

With P parameters of a process (of which E in embedding and head, M in the blocks' matrices), in bytes::

    weights       4 P, and 2 (M + V H) of bf16 copies under autocast; bf16_pure: 2 P; frozen under bf16: 2 P;
                  quantised: 0.56 M (nf4) or 1 M (int8), and the largest matrix once more, dequantised
    gradients     4 P of what trains; bf16_pure: 2 P
    optimizer     8 P (AdamW), 2 P (AdamW, 8 bit), row and column sums (Adafactor); halved by bf16_pure
    activations   see :mod:`xmtf.training.planning.activations`
    logits        4 C V for a chunk of C predicted positions, capped at 256 MiB

FSDP2 divides weights, gradients and optimizer of the blocks by ``dp_shard`` and gathers a block while the one before
computes, with ``zero: 1`` the optimizer alone: blocks are gathered, and their gradients whole, from a step's beginning
to its end; embedding and head stay whole on each process and only their optimizer is divided. Activations are most
where the backward pass begins, in its second block, whose gradients come while those of the first are being added up,
or before it in the head, which computes a tile of the vocabulary at a time; the largest of these counts. Tensor
parallelism divides all matrices, and activations too where positions are shared; pipeline stages divide the blocks; the
first and the last stage both keep a tied embedding.
A stage keeps activations of as many micro-batches as there are stages from it on, interleaved ones more
(:func:`xmtf.parallel.topology.parallel_dims.in_flight`).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xmtf.errors import ConfigError
from xmtf.models import ModelSize, model_size
from xmtf.models.interface import Family
from xmtf.models.parameters import num_layers
from xmtf.parallel.topology.parallel_dims import in_flight
from xmtf.recipe import Recipe
from xmtf.training.loss.head import CHUNK_BYTES, TILE_SHARE, tiles
from xmtf.training.optim.adafactor import MIN_FACTORED_SIZE
from xmtf.training.planning.activations import Activations, NumberFormats, count_activations
from xmtf.training.planning.candidate import Candidate, stage_shares

__all__ = [
    "Estimator",
    "MemoryEstimate",
    "check_limit",
    "estimate_memory",
    "num_blocks",
    "peak_memory",
    "row_positions",
    "size_text",
]

PREDICTED_SHARE = 0.25
"""Share of positions taken to be predicted; in xP3 it is 0.14."""
_PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
_OPTIMIZER_BYTES = {"adamw": 8.0, "adamw_8bit": 2.05, "adafactor": 0.0}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they hold; the program itself (about 0.5 GB) comes on top.

    Attributes:
        size: Parameters of the model.
        weights: Parameters, and their copies in the number format of computation.
        gradients: One number a parameter that trains.
        optimizer: What it remembers.
        activations: Kept from the forward pass, and what passes at the peak: their gradients, gathered blocks and
            those that are being added up, or products of the head; or what the optimizer needs for a moment, where
            that is more.
        logits: The largest chunk of logits.
    """

    size: ModelSize
    weights: float
    gradients: float
    optimizer: float
    activations: float
    logits: float

    @property
    def total(self) -> float:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits

    def __str__(self) -> str:
        parts = [f"{name} {size_text(getattr(self, name))}" for name in _PARTS]
        return f"{size_text(self.total)} ({', '.join(parts)})"


def row_positions(recipe: Recipe, family: Family) -> int:
    """Return the positions that a model computes for a packed row, encoder and decoder together."""
    packing = recipe.tokens.packing
    if family == "causal":
        return packing.sequence_length
    return packing.sequence_length + (packing.target_length or packing.sequence_length)


def estimate_memory(
    model: object, recipe: Recipe, layout: Candidate | None = None, *, predicted_share: float = PREDICTED_SHARE
) -> MemoryEstimate:
    """Estimate what a process needs at most to train a model; of pipeline stages the one that needs most.

    Args:
        model: Any model of ours, whole; may be on the meta device.
        recipe: Lengths of rows, precision, dropout and optimizer count.
        layout: How it is spread; default one process, as the recipe says.
        predicted_share: Share of positions that are predicted.
    """
    return Estimator.of(model, recipe, predicted_share).estimate(layout or Candidate.of(recipe))


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates many layouts of one training; the model is counted once.

    Attributes:
        model: Any model of ours, whole; may be on the meta device.
        recipe: See :func:`estimate_memory`.
        size: Its parameters.
        adafactor_numbers: Numbers that Adafactor remembers.
        largest_parameter: Numbers in the largest parameter.
        predicted_share: Share of positions that are predicted.
        attended: Share of a row's square of scores that its documents' own squares take.
        gpu_memory: Bytes of a GPU, which decide how much of the vocabulary is computed at one time.
    """

    model: Any
    recipe: Recipe
    size: ModelSize
    adafactor_numbers: int
    largest_parameter: int
    predicted_share: float = PREDICTED_SHARE
    attended: float = 1.0
    gpu_memory: float = 80e9

    @classmethod
    def of(
        cls, model: Any, recipe: Recipe, predicted_share: float = PREDICTED_SHARE, attended: float = 1.0
    ) -> Estimator:
        """Count a model."""
        largest = max(parameter.numel() for parameter in model.parameters())
        return cls(model, recipe, model_size(model), _adafactor_numbers(model), largest, predicted_share, attended)

    def estimate(self, layout: Candidate) -> MemoryEstimate:
        """Return what a process needs at most; of a pipeline the one that needs most."""
        sums = [sum(stages) for stages in stage_shares(self.model, layout)]
        last = len(sums) - 1
        ranks = {0, min(1, last), sums.index(max(sums)), last}  # the ends, the second, the first with most blocks
        return max(self.estimate_ranks(layout, ranks), key=lambda estimate: estimate.total)

    def estimate_ranks(self, layout: Candidate, ranks: Iterable[int]) -> list[MemoryEstimate]:
        """Return what processes along a pipeline need at most."""
        slices = layout.dims.tp
        shared = slices if getattr(self.model, "shares_positions", False) else 1
        formats = NumberFormats.of(self.recipe, gpu=layout.gpu, slices=slices, shared=shared, attended=self.attended)
        activations = count_activations(self.model, self.recipe, layout.rows, formats)
        shares = stage_shares(self.model, layout)
        return [_Process(self, layout, formats, activations, rank, shares[rank]).estimate() for rank in ranks]


@dataclass(frozen=True, slots=True)
class _Process:
    of: Estimator
    layout: Candidate
    formats: NumberFormats
    activations: Activations
    rank: int
    shares: list[float]

    def estimate(self) -> MemoryEstimate:
        dims, training, size = self.layout.dims, self.of.recipe.training, self.of.size
        tables, body = self._tables(), size.body * sum(self.shares) / dims.tp
        held, num_micro = tables + body / dims.dp_shard, self.layout.num_micro(self.of.recipe.training)
        gathers = dims.dp_shard > 1 and sum(self.shares) > 0  # a stage may have an embedding or a head alone
        whole = gathers and self.layout.zero == 1
        bytes_each = 2 if training.precision == "bf16_pure" else 4
        frozen_bytes = 4 if training.precision == "fp32" else 2
        trains = size.trained / size.total
        casts = 2.0 * trains * self._cast_numbers() if training.precision == "bf16" else 0.0
        state = trains * (tables + body) / dims.dp_shard * self._optimizer_bytes()
        gathered = body * self.formats.compute if whole else 0.0
        # one micro-batch's gradients are added up block by block as they come
        gradients = trains * (body if whole and num_micro > 1 else body / dims.dp_shard) * bytes_each
        return MemoryEstimate(
            size=size,
            weights=held * (trains * bytes_each + (1 - trains) * frozen_bytes) + gathered + casts + self._quantised(),
            gradients=trains * tables * bytes_each + gradients,
            optimizer=state,
            activations=max(self._activations(gradients), self._of_optimizer()),
            logits=4.0 * self._chunk_positions() * self._head_rows(),
        )

    def _exchanged(self, a_block: float) -> float:
        """Return what FSDP2 holds for a moment in a backward pass, above all that is kept when that begins.

        Args:
            a_block: Bytes that are kept of a block's forward pass, which go with its backward pass.
        """
        if self.layout.dims.dp_shard == 1 or not sum(self.shares):
            return 0.0
        block, compute, trained = self._largest_block(), self.formats.compute, self.of.size.trained / self.of.size.total
        blocks = round(sum(self.shares) * num_blocks(self.of.model))
        # the gradient of the block before is being added up, in fp32, while a block has not yet kept less than at first
        adding = trained * block * (4 if self.layout.zero == 1 else 4 + 4 / self.layout.dims.dp_shard)
        if self.layout.zero == 1:
            return max(0.0, adding - a_block)
        own, ahead = block * compute, block * compute * (blocks > 1)  # this block, and the buffer for the next one
        return max(own + ahead, own + ahead * (blocks > 2) + adding - a_block)

    def _quantised(self) -> float:
        """Return what quantised matrices take besides frozen ones (less), and the one that is dequantised at a time."""
        size = self.of.size
        frozen_bytes = 4 if self.of.recipe.training.precision == "fp32" else 2
        turned_back = size.largest_quantised * self.formats.compute
        return size.quantised_bytes + turned_back - float(size.quantised * frozen_bytes)

    @property
    def _ends(self) -> tuple[bool, bool]:
        """Whether this process has the first stage, and the last."""
        return self.rank == 0, self.rank == self.layout.dims.pp - 1

    def _tables(self) -> float:
        first, last = self._ends
        own_head = self.of.size.head or (0 if first else self.of.size.embedding)
        return (self.of.size.embedding * first + own_head * last) / self.layout.dims.tp

    def _largest_block(self) -> float:
        layers = num_blocks(self.of.model)
        return self.of.size.body / layers / self.layout.dims.tp

    def _cast_numbers(self) -> float:
        """Return the numbers that autocast keeps copies of; FSDP2 gathers the blocks' in bf16 already."""
        matrices = self.of.size.matmul_decoder + self.of.size.matmul_encoder
        blocks = 0.0 if self.layout.dims.dp_shard > 1 else matrices * sum(self.shares)
        head = self.of.size.head_size if self._ends[1] else 0
        return (blocks + head) / self.layout.dims.tp

    def _optimizer_bytes(self) -> float:
        training = self.of.recipe.training
        if training.optimizer.name == "adafactor":
            return 4.0 * self.of.adafactor_numbers / self.of.size.total
        halved = training.precision == "bf16_pure" and training.optimizer.name == "adamw"
        return _OPTIMIZER_BYTES[training.optimizer.name] * (0.5 if halved else 1)

    def _of_optimizer(self) -> float:
        """Return what an update needs for a moment: Adafactor the square of one gradient, as large as itself."""
        if self.of.recipe.training.optimizer.name != "adafactor":
            return 0.0
        return 4.0 * self.of.largest_parameter / self.layout.dims.tp / self.layout.dims.dp_shard

    def _head_rows(self) -> int:
        """Return the tokens of the vocabulary whose logits are computed here."""
        return int(self.of.model.vocab_size) // self.layout.dims.tp if self._ends[1] else 0

    def _predicted(self) -> float:
        return self.of.predicted_share * self.layout.rows * _decoder_positions(self.of.recipe, self.of.model)

    def _chunk_positions(self) -> float:
        """Return the predicted positions whose logits exist at one time."""
        return min(CHUNK_BYTES / 4 / max(1, self._head_rows()), self._predicted())

    def _of_head(self) -> float:
        """Return what the head needs as it computes, besides logits: gradients of hidden states, products of a tile."""
        if not self._ends[1]:
            return 0.0
        model, compute = self.of.model, self.formats.compute
        positions, width = self._chunk_positions(), int(model.hidden_size)
        hidden = 2 * self._predicted() * width * self.formats.residual + 4 * positions * width
        if compute == 4:
            return float(hidden)  # one product, added where it belongs
        room = int(self.of.gpu_memory // TILE_SHARE) if self.layout.gpu else 0
        tile = tiles((self._head_rows(), width), round(positions), torch.bfloat16, room)[0]
        tokens = min(tile.stop, self._head_rows())
        trains = self.of.recipe.model.lora is None and self.of.recipe.training.precision == "bf16"
        return float(hidden + 2 * tokens * (positions + width * trains))

    def _activations(self, gradients: float) -> float:
        """Return the peak of activations besides all gradients.

        Where there is one micro-batch, gradients appear as activations go: both are never there together.
        """
        checkpointing, counted = self.layout.checkpointing, self.activations
        num_micro = self.layout.num_micro(self.of.recipe.training)
        each = list(self._kept_of_one())
        held = in_flight(
            self.rank, self.layout.dims.pp, num_micro, len(self.shares), zero_bubble=self.layout.zero_bubble
        )
        kept = max(sum(number * size for number, size in zip(numbers, each, strict=True)) for numbers in held)
        if self.layout.dims.pp > 1:
            has_first, has_last = self._ends
            # the next micro-batch that was received, and what is sent back: gradients of this one and of the one before
            kept += 0.0 if has_first else 3 * self._hidden()
            kept += 0.0 if has_last else self._hidden()  # a gradient that was received
        if self.layout.zero_bubble:
            kept += min(self.rank, num_micro) * self._awaited_gradients()
        has_blocks = sum(self.shares) > 0
        if has_blocks and checkpointing:
            kept += counted.bias_recomputed
        last = counted.largest + counted.passing_recomputed if checkpointing else counted.passing
        a_block = (counted.boundaries if checkpointing else counted.layers) / num_blocks(self.of.model)
        backward = last + self._exchanged(a_block) if has_blocks else 0.0
        peak = kept + max(backward, self._of_head())
        if num_micro == 1:
            return max(peak - gradients, counted.passing)
        return max(peak, kept - each[0] + self._late_gradients())

    def _awaited_gradients(self) -> float:
        """Return what zero bubble keeps of a micro-batch between the two parts of its backward pass.

        That is the gradient of what each product and each norm gives; stage n has n such micro-batches.
        """
        model, formats = self.of.model, self.formats
        positions = self.layout.rows * _decoder_positions(self.of.recipe, model)
        linears = (module for module in model.modules() if isinstance(module, nn.Linear))
        given = sum(linear.out_features for linear in linears if linear.weight is not model.head_weight())
        added_up = 2 * model.hidden_size * num_blocks(model)  # over slices, and whole
        products = (given - added_up) / formats.slices + added_up
        norms = formats.residual * added_up / formats.shared
        return float(positions * (formats.compute * products + norms) * sum(self.shares))

    def _late_gradients(self) -> float:
        """Return the gradients in bf16 that wait for the end of a backward pass, where a step has several.

        They go through the node that made autocast's copy of a matrix, in a step's first micro-batch: autograd takes it
        last. Slices and shards have copies of another kind.
        """
        dims, size = self.layout.dims, self.of.size
        if self.of.recipe.training.precision != "bf16" or dims.tp * dims.dp_shard > 1:
            return 0.0
        matrices = (size.matmul_decoder + size.matmul_encoder) * sum(self.shares)
        return 2.0 * matrices * size.trained / size.total

    def _kept_of_one(self) -> Iterator[float]:
        """Return the bytes that each stage of this process keeps of a micro-batch in flight."""
        checkpointing, counted = self.layout.checkpointing, self.activations
        for index, share in enumerate(self.shares):
            first, last = self.rank == index == 0, self._ends[1] and index == len(self.shares) - 1
            each = (counted.boundaries if checkpointing else counted.layers) * share
            each += counted.ends if first or last else 0.0
            each += counted.bias if share and not checkpointing else 0.0  # recomputed: made anew for each block
            each += 0.0 if last else self._hidden()  # what went to the next stage stays until its gradient comes
            each += 0.0 if first else self._hidden()  # what was received gets a gradient itself
            yield each

    def _hidden(self) -> float:
        """Return bytes of one micro-batch's hidden states between stages."""
        positions = self.layout.rows * _decoder_positions(self.of.recipe, self.of.model)
        return float(positions / self.formats.shared * self.of.model.hidden_size * self.formats.residual)


def num_blocks(model: Any) -> int:
    """Return the transformer blocks of a model, encoder and decoder together."""
    if hasattr(model, "network"):
        return sum(num_layers(model))
    return int(model.config.num_layers + getattr(model.config, "num_decoder_layers", 0))


def _decoder_positions(recipe: Recipe, model: Any) -> int:
    packing = recipe.tokens.packing
    paired = model.family == "encoder-decoder"  # a causal model has no length of targets, whatever the recipe says
    return (packing.target_length if paired else None) or packing.sequence_length


def _adafactor_numbers(model: Any) -> int:
    """Return how many numbers Adafactor remembers: rows and columns of large matrices, all of the others."""
    return sum(
        sum(parameter.shape) if parameter.ndim == 2 and min(parameter.shape) >= MIN_FACTORED_SIZE else parameter.numel()
        for parameter in model.parameters()
    )


def check_limit(estimate: MemoryEstimate, limit: int | None, layout: Candidate) -> None:
    """Refuse what is estimated to need more than the recipe's ``memory_limit`` in a layout.

    Raises:
        ConfigError: Says how much, and what to lower.
    """
    if limit is not None and estimate.total > limit:
        shard = "set training.parallel.zero=3, " if layout.zero == 1 and layout.dims.dp_shard > 1 else ""
        raise ConfigError(
            f"memory_limit: training is estimated to need {estimate}, more than {size_text(limit)}; {shard}lower "
            "training.micro_batch_rows, set training.activation_checkpointing, or raise memory_limit"
        )


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: of the GPU by tensors, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def size_text(num_bytes: float) -> str:
    """Return a number of bytes in GiB, small ones in MiB.

    >>> size_text(3 * 2**29), size_text(5 * 2**20)
    ('1.50 GiB', '5 MiB')
    """
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
