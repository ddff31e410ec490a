"""Rows of different lengths through a network of transformers, whose attention is done here.

Transformers lets attention be replaced by name, and makes no mask for a name that it has none for. So the network's
own modules compute everything but attention, over positions without padding, and :mod:`xmtf.models.layers.ragged`
computes attention. Whether a network takes that rightly is tried (:mod:`xmtf.models.hub.self_tests`).

Legend: F new positions, N heads, K heads of keys, D head size, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from xmtf.errors import ConfigError
from xmtf.models.layers.ragged import RaggedPass

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["attending_to"]

_NAME = "xmtf_ragged"
_PASS: ContextVar[RaggedPass] = ContextVar("ragged pass")
_HARMLESS = frozenset({"is_causal", "position_ids", "use_cache", "output_attentions", "cache_position", "head_mask"})
"""Arguments of attention that say nothing beyond what a pass says."""


@contextmanager
def attending_to(network: PreTrainedModel, read: RaggedPass) -> Iterator[None]:
    """Let a network's attention be that of a pass, whose positions it reads as one row.

    Raises:
        ConfigError: After the network, where it did not ask for attention once in each layer.
    """
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    config = network.config.get_text_config(decoder=True)
    before = config._attn_implementation
    config._attn_implementation = _NAME
    token = _PASS.set(read)
    try:
        yield
    finally:
        _PASS.reset(token)
        config._attn_implementation = before
    if read.layers_read != config.num_hidden_layers:
        raise ConfigError(f"{type(network).__name__} has layers without attention, or with a custom one")
    read.finish()


def _attend(
    module: nn.Module,
    query_1NFD: Tensor,
    key_1KFD: Tensor,
    value_1KFD: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend as transformers asks it of every kind of attention; returns ``[1, F, N, D]`` and no weights."""
    unknown = [name for name, value in others.items() if value is not None and name not in _HARMLESS]
    if unknown or attention_mask is not None or dropout:
        asked = ", ".join(unknown) or "a mask or dropout"
        raise ConfigError(f"{type(module).__name__} requests attention with {asked}")
    layer: Any = module.layer_idx
    found_FND = _PASS.get().attend(
        layer, query_1NFD[0], key_1KFD[0], value_1KFD[0], scale=scaling, window=sliding_window
    )
    return found_FND[None], None
