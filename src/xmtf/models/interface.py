"""What training and evaluation ask of a model, whichever it is.

Two families. Both compute hidden states first and logits only at the positions that are asked for:
with a vocabulary of 250,000 the full logits of one row of 2,048 tokens are 2 GB.

Shapes: R rows, T positions, H hidden size, V vocabulary, P chosen positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

from xmtf.records import Family

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Cache", "CausalModel", "EncoderDecoderModel", "Family", "LoadedModel", "Model", "SpecialTokens"]


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids that a model's configuration names.

    Attributes:
        pad: Fills rows; also what an encoder-decoder starts decoding with.
        eos: Ends targets.
        bos: Begins a text, or None.
    """

    pad: int
    eos: int
    bos: int | None = None


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
    dropout: float
    """Probability, in training mode only; may be set at any time."""
    activation_checkpointing: bool
    """Recompute each layer in the backward pass instead of keeping its activations; may be set at any time."""
    accumulate_in_place: bool
    """Add the embedding's gradient straight into ``.grad`` (:mod:`xmtf.models.layers.tied`): for training loops that
    call ``backward`` on whole, unsharded weights. False after loading; may be set at any time."""

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

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[P, V]`` of chosen hidden states ``[P, H]``; leading dimensions may be any.

        Given ``tokens``, a range of ids, the logits of those only: a vocabulary can be gone through in pieces.
        """
        ...

    def head_weight(self) -> Tensor:
        """Return the matrix ``[V, H]`` that ``logits`` multiplies with (tied to the embedding or not).

        Logits of our own models are that product. Other models may add a bias, a scale or a soft cap.
        """
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
    max_positions: int | None
    """Longest row that the model can read: None (relative positions)."""
    dropout: float
    """Probability, in training mode only; may be set at any time."""
    activation_checkpointing: bool
    """Recompute each layer in the backward pass instead of keeping its activations; may be set at any time."""
    accumulate_in_place: bool
    """Add the embedding's gradient straight into ``.grad``; see :class:`CausalModel`."""

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
        ``decoder_start``. Cross attention stays inside equal segment ids of both sides. A cache keeps what it
        needs of the encoder at the first call; at later calls ``encoded_RSH`` and its ids are not read.
        """
        ...

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[P, V]`` of chosen hidden states ``[P, H]``; given ``tokens``, of those ids only."""
        ...

    def head_weight(self) -> Tensor:
        """Return the matrix ``[V, H]`` that ``logits`` multiplies with."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache (keys and values of decoder positions and of the encoder)."""
        ...


Model = CausalModel | EncoderDecoderModel


@dataclass(frozen=True)
class LoadedModel:
    """A model with its history.

    Attributes:
        model: A ``torch.nn.Module`` in evaluation mode.
        family: Which of the two protocols it follows.
        folder: Folder that it was read from (the hub's cache included), or None for a single file.
        label: Short name for tables: the hub id, or the name of the folder or file.
        take_hash: Returns the hash of configuration and weights; reads the files.
    """

    model: Model
    family: Family
    folder: Path | None
    label: str
    take_hash: Callable[[], str] = field(repr=False)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of configuration and weights, taken when it is first asked for: training never does."""
        return self.take_hash()
