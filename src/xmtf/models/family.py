"""Which family a model belongs to, known from its configuration alone."""

from __future__ import annotations

from xmtf.files import read_json
from xmtf.json_types import JsonObject
from xmtf.models.files.references import find_config
from xmtf.models.interface import Family
from xmtf.recipe.schema import Model

__all__ = ["OWN_ENCODER_DECODERS", "family_of_config", "model_family"]

OWN_ENCODER_DECODERS = ("mt5",)
"""Values of ``model_type`` that our mT5 reads."""


def model_family(config: Model, *, offline: bool) -> Family:
    """Return the family of a recipe's model, without loading weights or torch.

    Args:
        config: Section ``model`` of a recipe.
        offline: Look for ``base`` in the hub's cache only.

    Raises:
        SourceError: ``base`` is not found.
    """
    if config.base is None:
        return "encoder-decoder" if config.architecture == "mt5" else "causal"
    path = find_config(config.base, offline=offline)
    return "causal" if path.suffix == ".gguf" else family_of_config(read_json(path))


def family_of_config(config: JsonObject) -> Family:
    """Return the family that a parsed ``config.json`` describes."""
    own = config.get("model_type") in OWN_ENCODER_DECODERS
    return "encoder-decoder" if own or config.get("is_encoder_decoder") else "causal"
