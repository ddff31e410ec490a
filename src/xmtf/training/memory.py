"""How much memory a training step needs, estimated from the shape alone."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from typing import Any

import torch

from xmtf.errors import ConfigError
from xmtf.models import ModelSize, model_size
from xmtf.models.interface import Family
from xmtf.recipe import Recipe
from xmtf.training.head import CHUNK_BYTES

__all__ = ["MemoryEstimate", "check_limit", "estimate_memory", "peak_memory", "row_positions"]

_KEPT_PER_LAYER = 20
"""Numbers per position, layer and unit of hidden size kept for the backward pass: norms 2, queries to values 3,
attention 2, the feed-forward's 4 + 4 + 1, residuals 2, and room for
temporaries 2. On our BLOOM on a CPU the whole estimate was 0.8 to 0.96 of the measured peak."""
_PREDICTED_SHARE = 0.25
"""Share of positions taken to be predicted; in xP3 it is 0.14."""
_PARTS = ("weights", "gradients", "optimizer", "activations", "logits")
_OPTIMIZER_BYTES = {"adamw": 8.0, "adamw_8bit": 2.05, "adafactor": 0.05}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes by what they hold; the program itself (about 0.5 GB) comes on top.

    Attributes:
        size: Parameters of the model.
        weights: Parameters.
        gradients: One number a parameter.
        optimizer: Moments, and master weights where the parameters are not fp32.
        activations: Kept from the forward pass of one micro-batch.
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
        parts = [f"{name} {_size(getattr(self, name))}" for name in _PARTS]
        return f"{_size(self.total)} ({', '.join(parts)})"


def row_positions(recipe: Recipe, family: Family) -> int:
    """Return the positions that a model computes for a packed row, encoder and decoder together."""
    packing = recipe.tokens.packing
    if family == "causal":
        return packing.sequence_length
    return packing.sequence_length + (packing.target_length or packing.sequence_length)


def estimate_memory(model: Any, recipe: Recipe, positions_of_row: int) -> MemoryEstimate:
    """Estimate what one process needs to train a model.

    Args:
        model: Any model of ours; may be on the meta device.
        recipe: Precision, optimizer, micro-batch and checkpointing count.
        positions_of_row: See :func:`row_positions`.
    """
    size, training = model_size(model), recipe.training
    pure = training.precision == "bf16_pure"
    bytes_each = 2 if pure else 4
    activation_bytes = 4 if training.precision == "fp32" else 2
    num_layers, num_heads = _layers_and_heads(model)
    rows = min(training.micro_batch_rows, training.global_batch_rows)
    positions = rows * positions_of_row
    kept_layers = (1 if training.activation_checkpointing else num_layers) * _KEPT_PER_LAYER
    boundaries = num_layers if training.activation_checkpointing else 0
    bias = 3 * rows * num_heads * positions_of_row**2 * activation_bytes
    casts = 2 * size.total if training.precision == "bf16" else 0
    moments = _OPTIMIZER_BYTES[training.optimizer.name] * (0.5 if pure and training.optimizer.name == "adamw" else 1)
    return MemoryEstimate(
        size=size,
        weights=size.total * bytes_each + casts,
        gradients=size.total * bytes_each,
        optimizer=size.total * moments,
        activations=positions * model.hidden_size * activation_bytes * (kept_layers + boundaries) + bias,
        logits=min(CHUNK_BYTES, _PREDICTED_SHARE * positions * model.vocab_size * 4),
    )


def _layers_and_heads(model: Any) -> tuple[int, int]:
    """Return layers of decoder and encoder together, and attention heads."""
    if hasattr(model, "network"):
        config = model.network.config.get_text_config(decoder=True)
        return config.num_hidden_layers, config.num_attention_heads
    config = model.config
    return config.num_layers + getattr(config, "num_decoder_layers", 0), config.num_heads


def check_limit(estimate: MemoryEstimate, limit: int | None) -> None:
    """Refuse what is estimated to need more than the recipe's ``memory_limit``.

    Raises:
        ConfigError: Says how much, and what to lower.
    """
    if limit is not None and estimate.total > limit:
        raise ConfigError(
            f"memory_limit: training is estimated to need {estimate}, more than {_size(limit)}; lower "
            "training.micro_batch_rows, set training.activation_checkpointing, or raise memory_limit"
        )


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: of the GPU by tensors, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.0f} MiB"
