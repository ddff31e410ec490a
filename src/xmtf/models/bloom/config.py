"""The shape of a BLOOM, read from and written as the ``config.json`` that transformers uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.models.interface import SpecialTokens

__all__ = ["BloomConfig"]

_SPECIAL = SpecialTokens(pad=3, eos=2, bos=1)


@dataclass(frozen=True, slots=True)
class BloomConfig:
    """The shape of a BLOOM.

    Attributes:
        vocab_size: Rows of the embedding, padding included.
        hidden_size: A multiple of ``num_heads``.
        num_layers: Transformer blocks.
        num_heads: Attention heads; any number.
        special: Special tokens.
        dropout: Of hidden states (embeddings included) and attention, in training mode.
        epsilon: Of the layer norms.
        residual_after_norm: Residual taken after the layer norm (no released model does).
        absolute_alibi: ``compat`` switch: position bias ``slope * key`` in the compute dtype, as in the original
            training; wrong by up to 4.0 in bf16. The default is relative and fp32.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    special: SpecialTokens = _SPECIAL
    dropout: float = 0.0
    epsilon: float = 1e-5
    residual_after_norm: bool = False
    absolute_alibi: bool = False

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_heads:
            raise ConfigError(
                f"model: hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}; change one"
            )

    @property
    def head_size(self) -> int:
        """Size of one attention head."""
        return self.hidden_size // self.num_heads

    @classmethod
    def from_json(cls, config: JsonObject) -> Self:
        """Read transformers' ``config.json``; ``n_embed`` is the old name of ``hidden_size``."""
        eos = config.get("eos_token_id", 2)
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config.get("n_embed") or config["hidden_size"],
            num_layers=config.get("n_layer") or config["num_hidden_layers"],
            num_heads=config.get("n_head") or config["num_attention_heads"],
            special=SpecialTokens(
                pad=3 if config.get("pad_token_id") is None else config["pad_token_id"],
                eos=eos[0] if isinstance(eos, list) else eos,
                bos=config.get("bos_token_id", 1),
            ),
            dropout=config.get("hidden_dropout", 0.0),
            epsilon=config.get("layer_norm_epsilon", 1e-5),
            residual_after_norm=config.get("apply_residual_connection_post_layernorm", False),
            absolute_alibi=config.get("xmtf_absolute_alibi", False),
        )

    def to_json(self) -> JsonObject:
        """Return what transformers reads."""
        own = {"xmtf_absolute_alibi": True} if self.absolute_alibi else {}
        return {
            "architectures": ["BloomForCausalLM"],
            "model_type": "bloom",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "n_layer": self.num_layers,
            "n_head": self.num_heads,
            "layer_norm_epsilon": self.epsilon,
            "apply_residual_connection_post_layernorm": self.residual_after_norm,
            "hidden_dropout": self.dropout,
            "attention_dropout": self.dropout,
            "initializer_range": 0.02,
            "bos_token_id": self.special.bos,
            "eos_token_id": self.special.eos,
            "pad_token_id": self.special.pad,
            "tie_word_embeddings": True,
            "use_cache": True,
            **own,
        }
