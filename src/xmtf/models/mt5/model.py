"""mT5 as an encoder-decoder model: packed rows on both sides, caches, the head only where it is asked for.

Legend: R rows, S encoder positions, T decoder positions, H hidden size, P chosen positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from xmtf.models.interface import Cache
from xmtf.models.layers.attention import additive_bias, compute_dtype, same_segment, self_attention_mask
from xmtf.models.layers.cache import DecoderCache
from xmtf.models.layers.document_bias import DocumentBias, causal_bias, two_way_bias
from xmtf.models.layers.documents import DocumentPairs, Documents
from xmtf.models.layers.shares import UNSHARED, PositionShares
from xmtf.models.layers.tied import SlicedEmbedding, lookup
from xmtf.models.layers.trees import PromptRows, Trees
from xmtf.models.mt5.block import DecoderBlock, EncoderBlock
from xmtf.models.mt5.config import MT5Config
from xmtf.models.mt5.reading import read_prompt_forest
from xmtf.models.mt5.stack import Stack

__all__ = ["MT5"]


class MT5(nn.Module):
    """mT5 (Xue et al. 2021) behind :class:`xmtf.models.EncoderDecoderModel`.

    Packed rows equal separate ones in all three attentions: encoder, decoder, and cross attention,
    where a decoder segment sees the encoder segment of its own id. Relative positions need no reset.
    """

    family: Literal["encoder-decoder"] = "encoder-decoder"
    max_positions: int | None = None
    tree_fault: str | None = None
    shares_positions = True
    tp_plan: ClassVar[dict[str, str]] = {
        f"{stack}.blocks.*.{layer}": style
        for stack, attentions in (("encoder", ("self",)), ("decoder", ("self", "cross")))
        for layer, style in (
            *((f"{name}_attention.q", "colwise") for name in attentions),
            *((f"{name}_attention.{matrix}", "colwise_entered") for name in attentions[1:] for matrix in "kv"),
            *((f"self_attention.{matrix}", "colwise") for matrix in "kv"),
            *((f"{name}_attention.o", "rowwise") for name in attentions),
            ("feed_forward.wi_0", "colwise"),
            ("feed_forward.wi_1", "colwise"),
            ("feed_forward.wo", "rowwise"),
        )
    }

    def __init__(self, config: MT5Config) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        self.decoder_start = config.decoder_start
        self.dropout = config.dropout
        self.activation_checkpointing = False
        self.accumulate_in_place = False
        self.shares: PositionShares = UNSHARED
        self.shared: nn.Embedding | SlicedEmbedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.encoder = Stack(config, EncoderBlock, config.num_layers)
        self.decoder = Stack(config, DecoderBlock, config.num_decoder_layers)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """Make head and embedding one parameter again after their tensors were replaced, where they are tied."""
        if self.config.tied:
            self.lm_head.weight = self.shared.weight

    def encode(self, tokens_RS: Tensor, *, segment_ids_RS: Tensor | None = None) -> Tensor:
        """Return encoder states ``[R, S, H]``; see :class:`xmtf.models.EncoderDecoderModel`."""
        documents = None if segment_ids_RS is None else Documents.of(segment_ids_RS)
        bias: Tensor | DocumentBias
        shares = self._shares()
        length = tokens_RS.shape[1] if documents is None else len(documents.places)
        tokens_RS = shares.padded(tokens_RS if documents is None else documents.take(tokens_RS))
        if documents is not None:
            squares = self.encoder.relative_bias.squares([group.length for group in documents.groups])
            bias = two_way_bias(documents, squares, self._dtype())
        else:
            segment_ids_RS = None if segment_ids_RS is None else shares.padded(segment_ids_RS)
            bias = self._encoder_bias(tokens_RS.shape[1], segment_ids_RS)
        dropout = self._dropout()
        hidden_RSH = self._embed(tokens_RS, dropout)
        for block in self.encoder.blocks:
            hidden_RSH = self._run(block, hidden_RSH, bias, dropout)
        encoded_RSH = functional.dropout(self.encoder.final_norm(hidden_RSH), dropout, training=dropout > 0)
        encoded_RSH = shares.asked(encoded_RSH, length)
        return encoded_RSH if documents is None else documents.put_back(encoded_RSH)

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

        See :class:`xmtf.models.EncoderDecoderModel`.
        """
        assert cache is None or isinstance(cache, DecoderCache)
        if cache is None and segment_ids_RT is not None and encoder_segment_ids_RS is not None:
            documents, asked = Documents.of(segment_ids_RT), Documents.of(encoder_segment_ids_RS)
            pairs = DocumentPairs.of(documents, asked) if documents and asked else None
            if documents and asked and pairs:
                squares = self.decoder.relative_bias.squares([group.length for group in documents.groups])
                own_bias = causal_bias(documents, squares, self._dtype())
                states = documents.take(tokens_RT), asked.take(encoded_RSH), own_bias, pairs
                return documents.put_back(self._decode(*states, None, len(documents.places)))
        length, shares = tokens_RT.shape[1], self._shares()
        tokens_RT = shares.padded(tokens_RT)
        segment_ids_RT = None if segment_ids_RT is None else shares.padded(segment_ids_RT)
        cross_bias = self._cross_bias(tokens_RT, segment_ids_RT, encoder_segment_ids_RS, cache)
        bias = self._self_bias(tokens_RT, segment_ids_RT, cache)
        return self._decode(tokens_RT, encoded_RSH, bias, cross_bias, cache, length)

    def _decode(
        self,
        tokens_RT: Tensor,
        encoded_RSH: Tensor,
        bias: Tensor | DocumentBias,
        cross_bias: Tensor | DocumentPairs | None,
        cache: DecoderCache | None,
        length: int,
    ) -> Tensor:
        dropout, shares = self._dropout(), self._shares()
        if cache is not None and not cache.cross:
            cache.cross = [_cross_keys_values(block, encoded_RSH) for block in self.decoder.blocks]
        hidden_RTH = self._embed(shares.padded(tokens_RT), dropout)
        for index, block in enumerate(self.decoder.blocks):
            remembered = () if cache is None else (cache.layers[index], cache.cross[index])
            hidden_RTH = self._run(block, hidden_RTH, encoded_RSH, bias, cross_bias, dropout, *remembered)
        hidden_RTH = functional.dropout(self.decoder.final_norm(hidden_RTH), dropout, training=dropout > 0)
        return shares.whole(hidden_RTH, length)

    def _encoder_bias(self, length: int, segment_ids_RS: Tensor | None) -> Tensor:
        allowed_RSS = None if segment_ids_RS is None else same_segment(segment_ids_RS, segment_ids_RS)
        bias = additive_bias(allowed_RSS, self.encoder.relative_bias(length, length), self._dtype())
        assert bias is not None
        return bias

    def _run(self, block: nn.Module, *arguments: object) -> Tensor:
        if self.activation_checkpointing and self.training:
            hidden: Tensor = checkpoint(block, *arguments, use_reentrant=False)
        else:
            hidden = block(*arguments)
        return hidden

    def _shares(self) -> PositionShares:
        return self.shares if self.training else UNSHARED

    def _dropout(self) -> float:
        return self.dropout if self.training else 0.0

    def _dtype(self) -> torch.dtype:
        return compute_dtype(self.shared.weight)

    def _embed(self, tokens: Tensor, dropout: float) -> Tensor:
        embedded = lookup(tokens, self.shared, in_place=self.accumulate_in_place)
        return functional.dropout(embedded, dropout, training=dropout > 0)

    def _self_bias(self, tokens_RT: Tensor, segment_ids_RT: Tensor | None, cache: DecoderCache | None) -> Tensor:
        num_queries, past = tokens_RT.shape[1], 0
        if cache is not None:
            past = cache.length
            cache.extend(tokens_RT, segment_ids_RT, None)
            segment_ids_RT = cache.segment_ids
        num_keys = past + num_queries
        allowed_RTS = self_attention_mask(num_queries, segment_ids_RT, None, num_keys, tokens_RT.device)
        bias = additive_bias(allowed_RTS, self.decoder.relative_bias(num_queries, num_keys), self._dtype())
        assert bias is not None
        return bias

    def _cross_bias(
        self,
        tokens_RT: Tensor,
        segment_ids_RT: Tensor | None,
        encoder_segment_ids_RS: Tensor | None,
        cache: DecoderCache | None,
    ) -> Tensor | None:
        if cache is not None and cache.cross:
            encoder_segment_ids_RS = cache.encoder_segment_ids
        elif cache is not None:
            cache.encoder_segment_ids = encoder_segment_ids_RS
        if encoder_segment_ids_RS is None:
            return None
        ids_RT = torch.ones_like(tokens_RT) if segment_ids_RT is None else segment_ids_RT
        return additive_bias(same_segment(ids_RT, encoder_segment_ids_RS), None, self._dtype())

    def read_prompt_forest(self, prompts: Sequence[PromptRows], blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return hidden states ``[P, H]`` of chosen nodes; see :class:`xmtf.models.layers.trees.PromptForestReader`."""
        return read_prompt_forest(self.shared.weight, self.encoder, self.decoder, prompts, blocks, wanted_P)

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[..., V]`` of chosen hidden states ``[..., H]``; given ``tokens``, of those only."""
        weight_VH = self.lm_head.weight
        return functional.linear(hidden_PH, weight_VH if tokens is None else weight_VH[tokens])

    def head_weight(self) -> Tensor:
        """Return the head ``[V, H]``."""
        return self.lm_head.weight

    def new_cache(self) -> DecoderCache:
        """Return an empty cache (keys and values of decoder positions and of the encoder)."""
        return DecoderCache.empty(self.config.num_decoder_layers)

    @torch.no_grad()
    def draw(self, name: str, tensor: Tensor, generator: torch.Generator) -> None:
        """Draw one parameter at random: transformers' deviations, but T5X's for the head.

        The head gets ``hidden_size ** -0.5`` as in T5X; transformers draws it with deviation 1, which makes the
        first loss about half the hidden size.

        Args:
            name: Of the parameter.
            tensor: Gets the numbers.
            generator: Drawn from in the order of :meth:`named_parameters`, it gives a model of its seed.
        """
        if name.endswith("norm.weight"):
            tensor.fill_(1.0)
            return
        config = self.config
        deviations = {
            "shared.weight": 1.0,
            "q.weight": (config.hidden_size * config.head_size) ** -0.5,
            "o.weight": (config.num_heads * config.head_size) ** -0.5,
            "wo.weight": config.feedforward_size**-0.5,
        }
        matching = [value for key, value in deviations.items() if name.endswith(key)]
        tensor.normal_(0.0, matching[0] if matching else config.hidden_size**-0.5, generator=generator)


def _cross_keys_values(block: nn.Module, encoded_RSH: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(block, DecoderBlock)
    return block.cross_attention.keys_values(encoded_RSH)
