"""The head of a transformers model: a product, and what some models do to its result.

Legend: P positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import ConfigError

__all__ = ["Head", "find_head"]


@dataclass(frozen=True, slots=True)
class Head:
    """How logits come from hidden states.

    Attributes:
        linear: The product.
        scale: Factor on logits (Cohere, Granite).
        soft_cap: Logits are squeezed into plus and minus this (Gemma 2), or None.
    """

    linear: nn.Linear
    scale: float = 1.0
    soft_cap: float | None = None

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[..., V]``; given ``tokens``, of those only."""
        if tokens is None:
            logits: Tensor = self.linear(hidden_PH)
        else:
            bias_V = self.linear.bias
            logits = functional.linear(
                hidden_PH, self.linear.weight[tokens], None if bias_V is None else bias_V[tokens]
            )
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.soft_cap is not None:
            logits = torch.tanh(logits / self.soft_cap) * self.soft_cap
        return logits


def find_head(network: Any, label: str) -> Head:
    """Return the head of a transformers model, checked against the model's own logits.

    Args:
        network: ``...ForCausalLM`` of transformers, with weights.
        label: For messages.

    Raises:
        ConfigError: It computes logits in a way that is not known here.
    """
    linear = network.get_output_embeddings()
    if not isinstance(linear, nn.Linear):
        raise ConfigError(f"model {label!r}: has no linear head; only causal language models can be trained or scored")
    config = network.config.get_text_config(decoder=True)
    scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    head = Head(linear, float(scale), getattr(config, "final_logit_softcapping", None))
    _compare(network, head, label)
    return head


@torch.no_grad()
def _compare(network: Any, head: Head, label: str) -> None:
    tokens = torch.arange(1, min(6, len(head.linear.weight)), device=head.linear.weight.device)[None]
    theirs = network(input_ids=tokens, use_cache=False).logits.float()
    hidden = network.base_model(input_ids=tokens, use_cache=False).last_hidden_state
    ours = head.logits(hidden).float()
    if not torch.allclose(ours, theirs, rtol=1e-2, atol=1e-3 * float(theirs.abs().max())):
        raise ConfigError(
            f"model {label!r}: {type(network).__name__} computes logits in a way that xmtf does not know, "
            "so training would use another loss than the model; use another model"
        )
