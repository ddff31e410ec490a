"""Rows without padding through a network of transformers, whose attention is done here.

Transformers lets attention be replaced by name, and makes no mask for a name that it has none for. So the network's
own modules compute everything but attention, over positions without padding, and attention is that of a pass: rows of
different lengths (:mod:`xmtf.models.layers.ragged`) in evaluation, the documents of packed rows in training. Whether a
network takes that rightly is tried (:mod:`xmtf.models.hub.self_tests`).

Legend: F new positions, N heads, K heads of keys, D head size, B documents of a group, L positions of its longest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from xmtf.errors import ConfigError
from xmtf.models.layers.attention import scaled_dot_product_attention
from xmtf.models.layers.documents import Documents, Group, by_group, joined

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["DocumentPass", "attending_to", "while_recomputing"]

_NAME = "xmtf_ragged"


class _Pass(Protocol):
    """What attends in the place of a network's own attention."""

    layers_read: int

    def attend(
        self,
        layer: int,
        query_NFD: Tensor,
        key_KFD: Tensor,
        value_KFD: Tensor,
        *,
        scale: float | None,
        window: int | None,
        dropout: float,
    ) -> Tensor:
        """Return what queries find, ``[F, N, D]``."""

    def finish(self) -> None:
        """Called after the last layer."""


_PASS: ContextVar[_Pass | None] = ContextVar("pass whose attention it is", default=None)
_HARMLESS = frozenset({"is_causal", "position_ids", "use_cache", "output_attentions", "cache_position", "head_mask"})
"""Arguments of attention that say nothing beyond what a pass says."""


@contextmanager
def attending_to(network: PreTrainedModel, read: _Pass) -> Iterator[None]:
    """Let a network's attention be that of a pass, whose positions it reads as one row.

    Raises:
        ConfigError: After the network, where it did not ask for attention once in each layer.
    """
    config = network.config.get_text_config(decoder=True)
    with _attention_of(config, read):
        yield
    if read.layers_read != config.num_hidden_layers:
        raise ConfigError(f"{type(network).__name__} has layers without attention, or with a custom one")
    read.finish()


def while_recomputing(network: PreTrainedModel) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return contexts for ``torch.utils.checkpoint``: a layer that is computed again attends as it did before."""
    read = _PASS.get()
    config = network.config.get_text_config(decoder=True)
    return nullcontext(), nullcontext() if read is None else _attention_of(config, read)


@contextmanager
def _attention_of(config: Any, read: _Pass) -> Iterator[None]:
    from transformers import AttentionInterface

    AttentionInterface.register(_NAME, _attend)
    before = config._attn_implementation
    config._attn_implementation = _NAME
    token = _PASS.set(read)
    try:
        yield
    finally:
        _PASS.reset(token)
        config._attn_implementation = before


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
    if unknown or attention_mask is not None:
        raise ConfigError(f"{type(module).__name__} requests attention with {', '.join(unknown) or 'a mask'}")
    layer: Any = module.layer_idx
    read = _PASS.get()
    assert read is not None
    found_FND = read.attend(
        layer, query_1NFD[0], key_1KFD[0], value_1KFD[0], scale=scaling, window=sliding_window, dropout=dropout
    )
    return found_FND[None], None


class DocumentPass:
    """Packed rows read as documents, each of which attends to itself alone: no mask of a whole row is made.

    Args:
        documents: Of the rows.
    """

    def __init__(self, documents: Documents) -> None:
        self.documents = documents
        self.layers_read = 0
        self._masks: dict[tuple[int, int], Tensor] = {}

    def attend(
        self,
        layer: int,
        query_NFD: Tensor,
        key_KFD: Tensor,
        value_KFD: Tensor,
        *,
        scale: float | None,
        window: int | None,
        dropout: float,
    ) -> Tensor:
        """Return what queries find, ``[F, N, D]``; each position sees itself and earlier ones of its document.

        Args:
            layer: Its index.
            query_NFD: Queries, with what rotary positions do to them.
            key_KFD: Keys, likewise.
            value_KFD: Values.
            scale: Of scores; None for ``D ** -0.5``.
            window: How many positions a query sees, with itself; None for all.
            dropout: Probability.
        """
        self.layers_read += 1
        groups = self.documents.groups
        flat = [values.transpose(0, 1).flatten(1) for values in (query_NFD, key_KFD, value_KFD)]
        heads = (len(query_NFD), len(key_KFD), len(value_KFD))
        found = []
        for group, *parts in zip(groups, *(by_group(values_FX, groups) for values_FX in flat), strict=True):
            query_BNLD, key_BKLD, value_BKLD = (
                part_BLX.view(*part_BLX.shape[:2], number, -1).transpose(1, 2)
                for part_BLX, number in zip(parts, heads, strict=True)
            )
            mask = self._mask(group, window, query_NFD.device)
            found_BNLD = scaled_dot_product_attention(
                query_BNLD,
                key_BKLD,
                value_BKLD,
                attn_mask=mask,
                is_causal=mask is None,
                dropout_p=dropout,
                scale=scale,
                enable_gqa=heads[0] != heads[1],
            )
            found.append(found_BNLD.transpose(1, 2).flatten(2))
        found_FX = joined(found, groups)
        return found_FX.view(len(found_FX), heads[0], -1)

    def finish(self) -> None:
        """Do nothing: nothing is remembered."""

    def _mask(self, group: Group, window: int | None, device: torch.device) -> Tensor | None:
        """Return which keys are seen, bool ``[L, L]``, or None where that is every earlier one."""
        if window is None or group.length <= window:
            return None
        if (group.length, window) not in self._masks:
            places_L = torch.arange(group.length, device=device)
            behind_LL = places_L[:, None] - places_L
            self._masks[group.length, window] = (behind_LL >= 0) & (behind_LL < window)
        return self._masks[group.length, window]
