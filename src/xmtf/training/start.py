"""The model that training starts from: loaded, and changed as the recipe's section ``model`` says."""

from __future__ import annotations

import dataclasses
from typing import Any

from xmtf.errors import ConfigError
from xmtf.models.interface import LoadedModel
from xmtf.recipe.schema import Model

__all__ = ["adapt_model", "start_model"]


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
