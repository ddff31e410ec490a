"""The model that training starts from: loaded, and changed as the recipe's section ``model`` says."""

from __future__ import annotations

import dataclasses
from typing import Any

from xmtf.errors import ConfigError, require
from xmtf.models.interface import LoadedModel
from xmtf.recipe.schema import Lora, Model, Training
from xmtf.training.precision import choose_attention, choose_device

__all__ = ["adapt_model", "check_machine", "start_model"]


def check_machine(training: Training) -> None:
    """Refuse what this machine cannot do, before anything is loaded.

    Raises:
        ConfigError: A GPU, or a kernel for GPUs, is asked for and there is none.
        MissingExtraError: ``adamw_8bit`` without bitsandbytes.
    """
    choose_attention(training.attention, choose_device(training.device))
    if training.optimizer.name == "adamw_8bit":
        require("bitsandbytes", "gpu")


def start_model(reference: str, config: Model, *, seed: int, offline: bool = False) -> LoadedModel:
    """Load a model and adapt it; fp32, on the CPU, in evaluation mode.

    Args:
        reference: Folder, GGUF file or hub id.
        config: Section ``model`` of the recipe.
        seed: Of what is drawn.
        offline: Look in the hub's cache only.

    Raises:
        SourceError: Not found.
        ConfigError: A switch that this model does not have.
    """
    from xmtf.models import load_model

    start = load_model(reference, offline=offline)
    adapt_model(start.model, config, seed=seed)
    return start


def adapt_model(model: Any, config: Model, *, seed: int) -> None:
    """Set what the recipe wants of a model beyond its weights, in place.

    Raises:
        ConfigError: A switch that this model does not have.
    """
    from xmtf.models.bloom import Bloom

    if config.absolute_alibi:
        if not isinstance(model, Bloom):
            raise ConfigError("model.absolute_alibi: only BLOOM has ALiBi; leave it out")
        model.config = dataclasses.replace(model.config, absolute_alibi=True)
    _adapt_layers(model, config.lora, seed)


def _adapt_layers(model: Any, config: Lora | None, seed: int) -> None:
    """Add adapters, or go on with those that the model came with; without a wish for any, merge them."""
    from xmtf.models.lora import adapters, add_adapters, merge_adapters

    found = list(adapters(model).values())
    if config is None and found:
        merge_adapters(model)
    if config is None:
        return
    if not found:
        add_adapters(model, config, seed=seed)
    elif any((layer.rank, layer.alpha, layer.rank_stabilised) != _shape(config) for layer in found):
        layer = found[0]
        raise ConfigError(
            f"model.lora: the adapters that training starts from have rank {layer.rank} and alpha {layer.alpha:g}; "
            "give the same, or leave `lora` out to merge them and train all weights"
        )
    for layer in found:
        layer.dropout = config.dropout


def _shape(config: Lora) -> tuple[int, float, bool]:
    return config.rank, config.alpha, config.rank_stabilised
