"""The shape of an mT5, read from and written as the ``config.json`` that transformers uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.models.interface import SpecialTokens

__all__ = ["MT5Config"]

_SPECIAL = SpecialTokens(pad=0, eos=1)


@dataclass(frozen=True, slots=True)
class MT5Config:
    """The shape of an mT5 (T5 1.1: gated GELU, no biases, head apart from the embedding).

    Attributes:
        vocab_size: Rows of embedding and head, padding included.
        hidden_size: Model size (``d_model``).
        num_layers: Blocks of the encoder.
        num_decoder_layers: Blocks of the decoder.
        num_heads: Attention heads; ``num_heads * head_size`` need not be ``hidden_size``.
        head_size: Size of one head (``d_kv``).
        feedforward_size: Inner size of the feed-forward (``d_ff``).
        special: Special tokens; decoding starts with ``decoder_start``.
        decoder_start: Token that decoding starts with; the padding token in all released models.
        dropout: Everywhere, in training mode.
        epsilon: Of the norms.
        num_buckets: Buckets of relative distances.
        max_distance: Distances from here on share a bucket.
        tied: Whether the head is the embedding (no released model).
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    head_size: int
    feedforward_size: int
    special: SpecialTokens = _SPECIAL
    decoder_start: int = 0
    dropout: float = 0.0
    epsilon: float = 1e-6
    num_buckets: int = 32
    max_distance: int = 128
    tied: bool = False

    @classmethod
    def from_json(cls, config: JsonObject, *, tied: bool) -> Self:
        """Read transformers' ``config.json``.

        Args:
            config: The parsed file.
            tied: Whether the head is the embedding: true where the weights hold no head of their own, whatever
                ``tie_word_embeddings`` says (official files and transformers disagree about it).

        Raises:
            ConfigError: Another feed-forward than gated GELU.
        """
        feedforward = config.get("feed_forward_proj", "gated-gelu")
        if feedforward != "gated-gelu":
            raise ConfigError(f"model: feed_forward_proj {feedforward!r} is not supported; mT5 uses 'gated-gelu'")
        eos = config.get("eos_token_id", 1)
        pad: int = config.get("pad_token_id", 0)
        return cls(
            vocab_size=config["vocab_size"],
            hidden_size=config["d_model"],
            num_layers=config["num_layers"],
            num_decoder_layers=config.get("num_decoder_layers") or config["num_layers"],
            num_heads=config["num_heads"],
            head_size=config["d_kv"],
            feedforward_size=config["d_ff"],
            special=SpecialTokens(pad=pad, eos=eos[0] if isinstance(eos, list) else eos),
            decoder_start=config.get("decoder_start_token_id", pad),
            dropout=config.get("dropout_rate", 0.1),
            epsilon=config.get("layer_norm_epsilon", 1e-6),
            num_buckets=config.get("relative_attention_num_buckets", 32),
            max_distance=config.get("relative_attention_max_distance", 128),
            tied=tied,
        )

    def to_json(self) -> JsonObject:
        """Return what transformers reads."""
        return {
            "architectures": ["MT5ForConditionalGeneration"],
            "model_type": "mt5",
            "vocab_size": self.vocab_size,
            "d_model": self.hidden_size,
            "d_kv": self.head_size,
            "d_ff": self.feedforward_size,
            "num_layers": self.num_layers,
            "num_decoder_layers": self.num_decoder_layers,
            "num_heads": self.num_heads,
            "relative_attention_num_buckets": self.num_buckets,
            "relative_attention_max_distance": self.max_distance,
            "dropout_rate": self.dropout,
            "layer_norm_epsilon": self.epsilon,
            "initializer_factor": 1.0,
            "feed_forward_proj": "gated-gelu",
            "is_encoder_decoder": True,
            "pad_token_id": self.special.pad,
            "eos_token_id": self.special.eos,
            "decoder_start_token_id": self.decoder_start,
            "tie_word_embeddings": self.tied,
            "use_cache": True,
        }
