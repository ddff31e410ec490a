"""The optimizer of a recipe: which parameters decay, and what is kept of them in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from xmtf.errors import ConfigError
from xmtf.recipe.schema import Optimizer
from xmtf.training.optim.adafactor import Adafactor, Sharding
from xmtf.training.optim.eight_bit import build_eight_bit

__all__ = [
    "Named",
    "build_optimizer",
    "decay_groups",
    "set_learning_rate",
]


class Named(Protocol):
    """Anything with named parameters: a module, or the pieces of one that this process holds."""

    def named_parameters(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Return name and parameter of each."""


def decay_groups(model: Named, weight_decay: float) -> list[dict[str, object]]:
    """Return parameter groups with and without weight decay.

    Biases and norms do not decay: every vector, and mT5's table of relative position biases. Embeddings do,
    as in BLOOMZ. A tied weight stands once, under its first name.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    kept = [parameter for name, parameter in named if parameter.ndim < 2 or "bias" in name]
    spared = {id(parameter) for parameter in kept}
    decayed = [parameter for _, parameter in named if id(parameter) not in spared]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(
    model: Named, config: Optimizer, *, sharding: Mapping[Tensor, Sharding] | None = None
) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe over the parameters of a model that train.

    Args:
        model: Gives the parameters.
        config: Section of the recipe.
        sharding: Parameters that are pieces of larger ones.

    Raises:
        ConfigError: A model without a parameter that trains.
        MissingExtraError: ``adamw_8bit`` without bitsandbytes.
    """
    groups = decay_groups(model, config.weight_decay)
    if not groups:
        raise ConfigError("model: it has no trainable parameters")
    betas = (config.beta1, config.beta2)
    if config.name == "adafactor":
        return Adafactor(groups, config.learning_rate, config.decay_rate, sharding=sharding)
    if config.name == "adamw_8bit":
        return build_eight_bit(groups, config)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, value: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = value
