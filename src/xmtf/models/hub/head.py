"""The head of a transformers model: a product, and what some models do to its result.

Legend: P positions, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["HubHead", "body", "compare_head", "find_encoder_decoder_head", "find_head"]


@dataclass(frozen=True, slots=True)
class HubHead:
    """How logits come from hidden states.

    Attributes:
        linear: The product.
        scale: Factor on logits (Cohere, Granite).
        soft_cap: Logits are squeezed into plus and minus this (Gemma 2, RecurrentGemma), or None.
        shift_V: Added to logits (BART), or None.
    """

    linear: nn.Linear
    scale: float = 1.0
    soft_cap: float | None = None
    shift_V: Tensor | None = None  # noqa: N815 - shape suffix

    @property
    def is_product(self) -> bool:
        """Whether logits are the product and no more."""
        return self.scale == 1.0 and self.soft_cap is None and self.shift_V is None and self.linear.bias is None

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
        if self.shift_V is not None:
            logits = logits + (self.shift_V if tokens is None else self.shift_V[tokens])
        return logits


def body(network: PreTrainedModel) -> Any:
    """Return what of a causal model of transformers gives hidden states; Llama 4's says of itself that it is all."""
    found = network.base_model
    return getattr(network, "model", found) if found is network else found


def find_head(network: PreTrainedModel, label: str) -> HubHead:
    """Return the head of a transformers model, checked against the model's own logits where it has its weights.

    Args:
        network: ``...ForCausalLM`` of transformers; on the meta device nothing is checked.
        label: For messages.

    Raises:
        ConfigError: It computes logits in a way that is not known here.
    """
    linear = network.get_output_embeddings()
    if not isinstance(linear, nn.Linear):
        raise ConfigError(f"model {label!r}: has no linear head; only causal language models can be trained or scored")
    config = network.config.get_text_config(decoder=True)
    scale = getattr(config, "logit_scale", None) or 1.0 / (getattr(config, "logits_scaling", None) or 1.0)
    soft_cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
    head = HubHead(linear, float(scale), soft_cap)
    if not linear.weight.is_meta:
        compare_head(network, head, label)
    return head


@torch.no_grad()
def compare_head(network: PreTrainedModel, head: HubHead, label: str, inputs: dict[str, Tensor] | None = None) -> None:
    """Compare a head with the model's own logits.

    Args:
        network: ``...ForCausalLM`` of transformers.
        head: Its head, or a slice of it.
        label: For messages.
        inputs: What it is asked with; default a few tokens.

    Raises:
        ConfigError: The model computes them in another way.
    """
    if inputs is None:
        inputs = {"input_ids": torch.arange(1, min(6, len(head.linear.weight)), device=head.linear.weight.device)[None]}
    theirs = network(**inputs, use_cache=False).logits.float()
    hidden = body(network)(**inputs, use_cache=False).last_hidden_state
    ours = head.logits(hidden).float()
    if not _alike(ours, theirs, label):
        raise ConfigError(
            f"model {label!r}: {type(network).__name__} computes logits in a way that xmtf does not support, so "
            f"training would use a different loss than the model; use another model"
        )


@torch.no_grad()
def find_encoder_decoder_head(network: PreTrainedModel, label: str) -> HubHead:
    """Return the head of an encoder-decoder of transformers, checked against the model's own logits.

    T5 with a tied head scales hidden states by ``d_model ** -0.5``; BART adds a bias that is no parameter.

    Raises:
        ConfigError: It computes logits in a way that is not known here.
    """
    linear = network.get_output_embeddings()
    if not isinstance(linear, nn.Linear):
        raise ConfigError(f"model {label!r}: has no linear head; only language models can be scored")
    tokens = torch.arange(1, min(6, len(linear.weight)), device=linear.weight.device)[None]
    theirs = network(input_ids=tokens, decoder_input_ids=tokens, use_cache=False).logits.float()
    encoded = network.get_encoder()(input_ids=tokens).last_hidden_state
    output = network.get_decoder()(input_ids=tokens, encoder_hidden_states=encoded, use_cache=False)
    hidden = output.last_hidden_state
    bias = getattr(network, "final_logits_bias", None)
    soft_cap = getattr(network.config.get_text_config(decoder=True), "final_logit_softcapping", None)
    for scale in (1.0, linear.weight.shape[1] ** -0.5):
        head = HubHead(linear, scale, soft_cap, None if bias is None else bias[0])
        if _alike(head.logits(hidden).float(), theirs, label):
            return head
    raise ConfigError(f"model {label!r}: {type(network).__name__} computes logits in a way that xmtf does not support")


def _alike(ours: Tensor, theirs: Tensor, label: str) -> bool:
    """Return whether logits are the same up to a thousandth of the greatest.

    Raises:
        ConfigError: Those of the model are not finite.
    """
    if not torch.isfinite(theirs).all():
        raise ConfigError(
            f"model {label!r} computes logits that are not finite: its weights are damaged, load another copy"
        )
    return torch.allclose(ours, theirs, rtol=1e-2, atol=1e-3 * float(theirs.abs().max()))
