"""BLOOM as a causal model: packed rows, prefix LM, caches, the head only where it is asked for.

Legend: R rows, T positions, S positions with those in the cache, H hidden size, N heads, P chosen
positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from xmtf.models.bloom.block import Bias, Block
from xmtf.models.bloom.config import BloomConfig
from xmtf.models.bloom.reading import read_forest
from xmtf.models.interface import Cache
from xmtf.models.layers.attention import additive_bias, alibi_bias, compute_dtype, self_attention_mask
from xmtf.models.layers.cache import DecoderCache
from xmtf.models.layers.document_bias import DocumentBias, alibi_document_bias
from xmtf.models.layers.documents import Documents
from xmtf.models.layers.flex import alibi_flex_bias, flex_takes
from xmtf.models.layers.latest import Latest
from xmtf.models.layers.shares import UNSHARED, PositionShares
from xmtf.models.layers.staged import twin_of
from xmtf.models.layers.tied import SlicedEmbedding, lookup
from xmtf.models.layers.trees import Trees

__all__ = ["Bloom"]


class Bloom(nn.Module):
    """BLOOM (Scao et al. 2022) behind :class:`xmtf.models.CausalModel`; the head is tied to the embedding.

    Positions need no reset in packed rows: inside a segment the bias depends on distance alone.

    Attributes:
        first: Whether this is the whole model or its first part (see :meth:`part`).
        last: Whether this is the whole model or its last part.
        heads: Which attention heads the blocks hold here, where their matrices are sliced over processes.
        shares: How tensor-parallel processes share positions in training.
        latest_bias: The bias of the micro-batch that pipeline stages recompute; all stages of a process share it.
    """

    family: Literal["causal"] = "causal"
    max_positions: int | None = None
    tree_fault: str | None = None
    shares_positions = True
    tp_plan: ClassVar[dict[str, str]] = {
        "h.*.self_attention.query_key_value": "colwise",
        "h.*.self_attention.dense": "rowwise",
        "h.*.mlp.dense_h_to_4h": "colwise",
        "h.*.mlp.dense_4h_to_h": "rowwise",
    }

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = config.vocab_size
        self.hidden_size = config.hidden_size
        self.dropout = config.dropout
        self.activation_checkpointing = False
        self.accumulate_in_place = False
        self.attention: Literal["sdpa", "flex"] = "sdpa"
        self.first, self.last = True, True
        self.heads = slice(None)
        self.shares: PositionShares = UNSHARED
        self.latest_bias: Latest[Bias] = Latest()
        self.word_embeddings: nn.Embedding | SlicedEmbedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.word_embeddings_layernorm = nn.LayerNorm(config.hidden_size, eps=config.epsilon)
        self.h: nn.ModuleList | nn.ModuleDict = nn.ModuleList(Block(config) for _ in range(config.num_layers))
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
        dropout = self.dropout if self.training else 0.0
        shares = self.shares if self.training else UNSHARED
        takes_flex = segment_ids_RT is not None and self._takes_flex(cache, dropout)
        documents = None
        if cache is None and segment_ids_RT is not None and not takes_flex:
            documents = Documents.of(segment_ids_RT)
        make_bias: Callable[[], Bias]
        if documents is not None:
            make_bias = partial(self._document_bias, documents, is_input_RT)
            hidden_FH = self._through_blocks(self._begun(tokens_RT, documents, shares), make_bias, cache, dropout)
            if self.last:
                return documents.put_back(shares.whole(self.ln_f(hidden_FH), len(documents.places)))
            return documents.put_back(hidden_FH) if shares.num == 1 else shares.sent(hidden_FH, *documents.shape)
        length = (tokens_RT if segment_ids_RT is None else segment_ids_RT).shape[1]
        segment_ids_RT, is_input_RT = (
            ids if ids is None else shares.padded(ids) for ids in (segment_ids_RT, is_input_RT)
        )
        tokens_RT = shares.padded(tokens_RT) if self.first else tokens_RT
        if segment_ids_RT is not None and takes_flex:
            make_bias = partial(alibi_flex_bias, self.config.num_heads, segment_ids_RT, is_input_RT, self.heads)
        else:
            num_queries = tokens_RT.shape[1] * (1 if self.first else shares.num)
            make_bias = partial(self._dense_bias, tokens_RT, num_queries, segment_ids_RT, is_input_RT, cache)
        hidden_RTH = self._embed(tokens_RT) if self.first else tokens_RT
        hidden_RTH = self._through_blocks(hidden_RTH, make_bias, cache, dropout)
        return shares.whole(self.ln_f(hidden_RTH), length) if self.last else hidden_RTH

    def _begun(self, tokens_RT: Tensor, documents: Documents, shares: PositionShares) -> Tensor:
        """Return the hidden states ``[F, H]`` that the blocks begin with, of shared positions this process's own."""
        if self.first:
            return self._embed(shares.padded(documents.take(tokens_RT)))
        return documents.take(tokens_RT) if shares.num == 1 else shares.received(tokens_RT, len(documents.places))

    def _through_blocks(
        self, hidden: Tensor, make_bias: Callable[[], Bias], cache: DecoderCache | None, dropout: float
    ) -> Tensor:
        again = self.activation_checkpointing and self.training
        if again and not (self.first and self.last):
            # a pipeline stage holds many micro-batches at once: each keeping its bias would outweigh the stage
            make_bias = self.latest_bias.remembering(make_bias)
            for _, block in self.blocks():
                hidden = checkpoint(
                    _with_bias, block, hidden, make_bias, dropout, use_reentrant=False, preserve_rng_state=dropout > 0
                )
            return hidden
        bias = make_bias()
        for index, block in self.blocks():
            layer = None if cache is None else cache.layers[index]
            if again:
                hidden = checkpoint(
                    block, hidden, bias, layer, dropout, use_reentrant=False, preserve_rng_state=dropout > 0
                )
            else:
                hidden = block(hidden, bias, layer, dropout)
        return hidden

    def forward(
        self, tokens_RT: Tensor, segment_ids_RT: Tensor | None = None, is_input_RT: Tensor | None = None
    ) -> Tensor:
        """Return hidden states; of a part that is not the first, ``tokens_RT`` are those of the part before."""
        return self.hidden_states(tokens_RT, segment_ids_RT=segment_ids_RT, is_input_RT=is_input_RT)

    def blocks(self) -> list[tuple[int, Block]]:
        """Return the blocks held here with their index in the whole model."""
        return [(int(name), block) for name, block in self.h.named_children() if isinstance(block, Block)]

    @property
    def num_blocks(self) -> int:
        """How many blocks are held here."""
        return len(self.h)

    def tables(self) -> list[Tensor]:
        """Return the embedding, which is also the head, where it is held here."""
        return [self.word_embeddings.weight] if self.first or self.last else []

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return True

    def part(self, first_block: int, end_block: int, *, first: bool, last: bool) -> Bloom:
        """Return some consecutive blocks as its own model that shares parameters, under the same names.

        The first part embeds tokens; the others begin with the hidden states of the part before. The last part
        ends with the norm and keeps the embedding too, as its head.
        """
        part = twin_of(self)
        part.first, part.last = first, last
        if not (first or last):
            del part.word_embeddings
        if not first:
            del part.word_embeddings_layernorm
        part.h = nn.ModuleDict({str(index): block for index, block in self.blocks()[first_block:end_block]})
        if not last:
            del part.ln_f
        return part

    def _embed(self, tokens_RT: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        embedded_RTH = lookup(tokens_RT, self.word_embeddings, in_place=self.accumulate_in_place)
        return functional.dropout(self.word_embeddings_layernorm(embedded_RTH), dropout, training=dropout > 0)

    def _takes_flex(self, cache: DecoderCache | None, dropout: float) -> bool:
        """Return whether FlexAttention is requested and usable: it has no dropout and no cache."""
        plain = cache is None and dropout == 0 and not self.config.absolute_alibi
        return self.attention == "flex" and plain and flex_takes(self.config.head_size)

    def _document_bias(self, documents: Documents, is_input_RT: Tensor | None) -> DocumentBias:
        return alibi_document_bias(
            documents,
            self.config.num_heads,
            self.heads,
            is_input_RT,
            compute_dtype(next(self.parameters())),
            absolute=self.config.absolute_alibi,
        )

    def _dense_bias(
        self,
        tokens_RT: Tensor,
        num_queries: int,
        segment_ids_RT: Tensor | None,
        is_input_RT: Tensor | None,
        cache: DecoderCache | None,
    ) -> Tensor:
        past = 0
        if cache is not None:
            past = cache.length
            # a part that is not the first is given hidden states
            cache.extend(tokens_RT if self.first else tokens_RT[..., 0], segment_ids_RT, is_input_RT)
            segment_ids_RT, is_input_RT = cache.segment_ids, cache.is_input
        device, num_keys = tokens_RT.device, past + num_queries
        allowed_RTS = self_attention_mask(num_queries, segment_ids_RT, is_input_RT, num_keys, device)
        alibi_NTS = alibi_bias(
            self.config.num_heads,
            num_queries,
            num_keys,
            device,
            absolute=self.config.absolute_alibi,
            heads=self.heads,
        )
        bias = additive_bias(allowed_RTS, alibi_NTS, compute_dtype(next(self.parameters())))
        assert bias is not None
        return bias

    def read_forest(self, blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
        """Return hidden states ``[P, H]`` of chosen nodes; see :class:`xmtf.models.layers.trees.ForestReader`."""
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
    def draw(self, name: str, tensor: Tensor, generator: torch.Generator) -> None:
        """Draw one parameter at random: normal with deviation 0.02, zero biases, unit norms (as transformers does).

        Args:
            name: Of the parameter.
            tensor: Gets the numbers.
            generator: Drawn from in the order of :meth:`named_parameters`, it gives a model of its seed.
        """
        if name.endswith("bias"):
            tensor.zero_()
        elif "layernorm" in name or name.startswith("ln_f"):
            tensor.fill_(1.0)
        else:
            tensor.normal_(0.0, 0.02, generator=generator)


def _with_bias(block: Block, hidden: Tensor, make_bias: Callable[[], Bias], dropout: float) -> Tensor:
    output: Tensor = block(hidden, make_bias(), None, dropout)
    return output
