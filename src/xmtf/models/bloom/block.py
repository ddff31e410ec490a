"""One block of BLOOM: attention and feed-forward, each behind a layer norm and around a residual.

Legend: R rows, T positions, F positions of all documents of packed rows, H hidden size, N heads, D head size,
I inner size of the feed-forward.

Differences from transformers' block: one fused attention call with a shared bias instead of eager
products, and dropout read from the model so that it can change between evaluation and training.
Parameter names are transformers' own, so weights load as they are.
"""

from __future__ import annotations

import functools

from torch import Tensor, nn
from torch.nn import functional

from xmtf.models.bloom.config import BloomConfig
from xmtf.models.layers.attention import attend
from xmtf.models.layers.cache import LayerCache
from xmtf.models.layers.document_bias import DocumentBias, attend_documents
from xmtf.models.layers.flex import FlexBias, flex_attend

__all__ = ["Bias", "Block"]

Bias = Tensor | FlexBias | DocumentBias
"""What is added to attention scores, ``[R, N, T, S]``; or what FlexAttention, or each document, computes it from."""


class _Attention(nn.Module):
    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.shape = (-1, 3, config.head_size)  # as many heads as the matrix has: fewer where it is sliced
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_RTH: Tensor, bias: Bias, cache: LayerCache | None, dropout: float) -> Tensor:
        qkv_RT3 = self.query_key_value(hidden_RTH)
        if isinstance(bias, DocumentBias):
            attended_RTH = attend_documents(functools.partial(self._attend, None, dropout), [qkv_RT3], bias)
        else:
            attended_RTH = self._attend(cache, dropout, qkv_RT3, bias)
        output_RTH: Tensor = self.dense(attended_RTH)
        return output_RTH

    def _attend(self, cache: LayerCache | None, dropout: float, qkv_RT3: Tensor, bias: Tensor | FlexBias) -> Tensor:
        # rows of the fused matrix are [head][query, key, value][head size], as in Megatron
        qkv_RTN3D = qkv_RT3.view(*qkv_RT3.shape[:2], *self.shape)
        query_RNTD, key_RNTD, value_RNTD = (part.transpose(1, 2) for part in qkv_RTN3D.unbind(-2))
        if cache is not None:
            key_RNTD, value_RNTD = cache.append(key_RNTD, value_RNTD)
        scale = self.shape[2] ** -0.5
        if isinstance(bias, Tensor):
            return attend(query_RNTD, key_RNTD, value_RNTD, bias, scale=scale, dropout=dropout)
        return flex_attend(query_RNTD, key_RNTD, value_RNTD, bias, scale=scale)


class _FeedForward(nn.Module):
    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.dense_h_to_4h = nn.Linear(config.hidden_size, 4 * config.hidden_size)
        self.dense_4h_to_h = nn.Linear(4 * config.hidden_size, config.hidden_size)

    def forward(self, hidden_RTH: Tensor) -> Tensor:
        inner_RTI = self.dense_h_to_4h(hidden_RTH)
        output_RTH: Tensor = self.dense_4h_to_h(functional.gelu(inner_RTI, approximate="tanh"))
        return output_RTH


class Block(nn.Module):
    """One transformer block."""

    def __init__(self, config: BloomConfig) -> None:
        super().__init__()
        self.residual_after_norm = config.residual_after_norm
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.epsilon)
        self.self_attention = _Attention(config)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.epsilon)
        self.mlp = _FeedForward(config)

    def forward(self, hidden_RTH: Tensor, bias: Bias, cache: LayerCache | None = None, dropout: float = 0.0) -> Tensor:
        """Return the hidden states after this block, in the shape of those before.

        Args:
            hidden_RTH: Hidden states before it, ``[R, T, H]``; of documents, ``[F, H]``.
            bias: Added to attention scores.
            cache: Keys and values of earlier positions; these are added to it.
            dropout: Probability; 0 outside training.
        """
        normed_RTH = self.input_layernorm(hidden_RTH)
        residual_RTH = normed_RTH if self.residual_after_norm else hidden_RTH
        attended_RTH = self.self_attention(normed_RTH, bias, cache, dropout)
        hidden_RTH = residual_RTH + functional.dropout(attended_RTH, dropout, training=dropout > 0)
        normed_RTH = self.post_attention_layernorm(hidden_RTH)
        residual_RTH = normed_RTH if self.residual_after_norm else hidden_RTH
        return residual_RTH + functional.dropout(self.mlp(normed_RTH), dropout, training=dropout > 0)
