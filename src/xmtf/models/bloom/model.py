"""BLOOM as a causal model: packed rows, prefix LM, caches, the head only where it is asked for.

Legend: R rows, T positions, S positions with those in the cache, H hidden size, N heads, P chosen
positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from xmtf.models.attention import additive_bias, alibi_bias, compute_dtype, self_attention_mask
from xmtf.models.bloom.block import Block
from xmtf.models.bloom.config import BloomConfig
from xmtf.models.bloom.reading import read_forest
from xmtf.models.cache import DecoderCache
from xmtf.models.interface import Cache
from xmtf.models.tied import embed
from xmtf.models.trees import Trees

__all__ = ["Bloom"]


class Bloom(nn.Module):
    """BLOOM (Scao et al. 2022) behind :class:`xmtf.models.CausalModel`; the head is tied to the embedding.

    Positions need no reset in packed rows: inside a segment the bias depends on distance alone.
    """

    family: Literal["causal"] = "causal"
    max_positions: int | None = None

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        self.dropout = config.dropout
        self.activation_checkpointing = False
        self.accumulate_in_place = False
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.word_embeddings_layernorm = nn.LayerNorm(config.hidden_size, eps=config.epsilon)
        self.h = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.ln_f = nn.LayerNorm(config.hidden_size, eps=config.epsilon)

    def hidden_states(
        self,
        tokens_RT: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        is_input_RT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, ``[R, T, H]``; see :class:`xmtf.models.CausalModel`."""
        assert cache is None or isinstance(cache, DecoderCache)
        bias = self._bias(tokens_RT, segment_ids_RT, is_input_RT, cache)
        dropout = self.dropout if self.training else 0.0
        embedded_RTH = embed(tokens_RT, self.word_embeddings.weight, in_place=self.accumulate_in_place)
        hidden_RTH = functional.dropout(self.word_embeddings_layernorm(embedded_RTH), dropout, training=dropout > 0)
        for index, block in enumerate(self.h):
            layer = None if cache is None else cache.layers[index]
            if self.activation_checkpointing and self.training:
                hidden_RTH = checkpoint(block, hidden_RTH, bias, layer, dropout, use_reentrant=False)
            else:
                hidden_RTH = block(hidden_RTH, bias, layer, dropout)
        normed_RTH: Tensor = self.ln_f(hidden_RTH)
        return normed_RTH

    def _bias(
        self, tokens_RT: Tensor, segment_ids_RT: Tensor | None, is_input_RT: Tensor | None, cache: DecoderCache | None
    ) -> Tensor:
        num_queries, past = tokens_RT.shape[1], 0
        if cache is not None:
            past = cache.length
            cache.extend(tokens_RT, segment_ids_RT, is_input_RT)
            segment_ids_RT, is_input_RT = cache.segment_ids, cache.is_input
        device, num_keys = tokens_RT.device, past + num_queries
        allowed_RTS = self_attention_mask(num_queries, segment_ids_RT, is_input_RT, num_keys, device)
        alibi_NTS = alibi_bias(
            self.config.num_heads, num_queries, num_keys, device, absolute=self.config.absolute_alibi
        )
        bias = additive_bias(allowed_RTS, alibi_NTS, compute_dtype(self.word_embeddings.weight))
        assert bias is not None
        return bias

    def read_forest(self, blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return hidden states ``[P, H]`` of chosen nodes; see :class:`xmtf.models.trees.ForestReader`."""
        return read_forest(self, blocks, wanted_P)

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return logits ``[..., V]`` of chosen hidden states ``[..., H]``; given ``tokens``, of those only."""
        weight_VH = self.word_embeddings.weight
        return functional.linear(hidden_PH, weight_VH if tokens is None else weight_VH[tokens])

    def head_weight(self) -> Tensor:
        """Return the embedding ``[V, H]``, which is also the head."""
        return self.word_embeddings.weight

    def new_cache(self) -> DecoderCache:
        """Return an empty cache."""
        return DecoderCache.empty(self.config.num_layers)

    @torch.no_grad()
    def initialise(self, seed: int) -> None:
        """Draw random weights: normal with deviation 0.02, zero biases, unit norms (as transformers does)."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif "layernorm" in name or name.startswith("ln_f"):
                parameter.fill_(1.0)
            else:
                parameter.normal_(0.0, 0.02, generator=generator)
