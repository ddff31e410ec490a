"""What training and evaluation ask of a model, whichever it is.

Two families. Both compute hidden states first and logits only at the positions that are asked for:
with a vocabulary of 250,000 the full logits of one row of 2,048 tokens are 2 GB.

Shapes: R rows, T positions, H hidden size, V vocabulary, P chosen positions.
"""

from __future__ import annotations

from typing import Literal, Protocol, Self, runtime_checkable

from torch import Tensor

__all__ = ["Cache", "CausalModel", "EncoderDecoderModel", "Family"]

Family = Literal["causal", "encoder-decoder"]


class Cache(Protocol):
    """Keys and values of positions already computed (and, for an encoder-decoder, of the encoder)."""

    def select(self, rows: Tensor) -> Self:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often (one prompt, many choices)."""
        ...


@runtime_checkable
class CausalModel(Protocol):
    """A decoder that predicts the next token. Is a ``torch.nn.Module``."""

    family: Literal["causal"]
    vocab_size: int
    hidden_size: int
    max_positions: int | None
    """Longest row that the model can read, or None (ALiBi)."""

    def hidden_states(
        self,
        tokens_RT: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        is_input_RT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, ``[R, T, H]``.

        Args:
            tokens_RT: int64 token ids.
            segment_ids_RT: Attention stays inside equal ids; 0 is padding. None: one segment, no padding.
                With a cache these are the ids of the new positions only; the cache remembers the old ones.
            is_input_RT: bool; given, attention is bidirectional over the inputs of a segment (prefix LM).
            cache: From ``new_cache``; keys and values of these positions are added to it.
        """
        ...

    def logits(self, hidden_PH: Tensor) -> Tensor:
        """Return logits ``[P, V]`` of chosen hidden states ``[P, H]``."""
        ...

    def head_weight(self) -> Tensor:
        """Return the matrix ``[V, H]`` that ``logits`` multiplies with (tied to the embedding or not)."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache."""
        ...


@runtime_checkable
class EncoderDecoderModel(Protocol):
    """An encoder and a decoder that attends to it. Is a ``torch.nn.Module``."""

    family: Literal["encoder-decoder"]
    vocab_size: int
    hidden_size: int
    decoder_start: int
    """Token that decoding starts with."""

    def encode(self, tokens_RS: Tensor, *, segment_ids_RS: Tensor | None = None) -> Tensor:
        """Return encoder states ``[R, S, H]``; segment ids as in :class:`CausalModel`."""
        ...

    def decode(
        self,
        tokens_RT: Tensor,
        encoded_RSH: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        encoder_segment_ids_RS: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return decoder hidden states after the last norm, ``[R, T, H]``.

        ``tokens_RT`` are the decoder's inputs: targets shifted right within each segment, beginning with
        ``decoder_start``. Cross attention stays inside equal segment ids of both sides.
        """
        ...

    def logits(self, hidden_PH: Tensor) -> Tensor:
        """Return logits ``[P, V]`` of chosen hidden states ``[P, H]``."""
        ...

    def head_weight(self) -> Tensor:
        """Return the matrix ``[V, H]`` that ``logits`` multiplies with."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache (keys and values of decoder positions and of the encoder)."""
        ...
