"""Attention, feed-forward and blocks of mT5.

Legend: R rows, T query positions, S key positions, H hidden size, N heads, D head size.

Matrices stay apart (query, key, value; the two inner projections) as in T5X: Adafactor scales and
clips by parameter, so a fused matrix would train differently.
"""

from __future__ import annotations

import functools

from torch import Tensor, nn
from torch.nn import functional

from xmtf.models.layers.attention import attend
from xmtf.models.layers.cache import LayerCache
from xmtf.models.layers.document_bias import DocumentBias, attend_documents, attend_pairs
from xmtf.models.layers.documents import DocumentPairs
from xmtf.models.mt5.config import MT5Config

__all__ = ["Attention", "DecoderBlock", "EncoderBlock", "Norm"]


class Norm(nn.RMSNorm):
    """Root-mean-square norm, computed in fp32 and with the weight applied after rounding, as T5 does."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the normed hidden states."""
        assert self.eps is not None
        normed = functional.rms_norm(x.float(), self.normalized_shape, eps=self.eps)
        return self.weight * normed.to(self.weight.dtype)


class Attention(nn.Module):
    """Attention without biases and without scaling of scores."""

    def __init__(self, config: MT5Config) -> None:
        super().__init__()
        inner = config.num_heads * config.head_size
        self.head_size = config.head_size
        self.q = nn.Linear(config.hidden_size, inner, bias=False)
        self.k = nn.Linear(config.hidden_size, inner, bias=False)
        self.v = nn.Linear(config.hidden_size, inner, bias=False)
        self.o = nn.Linear(inner, config.hidden_size, bias=False)

    def _heads(self, projected: Tensor) -> Tensor:
        return projected.view(*projected.shape[:2], -1, self.head_size).transpose(1, 2)

    def keys_values(self, hidden_RSH: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values, ``[R, N, S, D]`` each."""
        return self._heads(self.k(hidden_RSH)), self._heads(self.v(hidden_RSH))

    def forward(
        self, hidden_RTH: Tensor, keys_values: tuple[Tensor, Tensor], bias: Tensor | None, dropout: float
    ) -> Tensor:
        """Return attention's output ``[R, T, H]`` for queries of ``hidden_RTH``."""
        query_RNTD = self._heads(self.q(hidden_RTH))
        output_RTH: Tensor = self.o(attend(query_RNTD, *keys_values, bias, scale=1.0, dropout=dropout))
        return output_RTH

    def of_documents(
        self, hidden_FH: Tensor, asked_FH: Tensor, bias: DocumentBias | DocumentPairs, dropout: float
    ) -> Tensor:
        """Return attention's output ``[F, H]``, document by document.

        Args:
            hidden_FH: Of the documents that ask.
            asked_FH: Of those that they ask: the same, or their partners of the encoder.
            bias: Of groups of documents, or which documents ask which.
            dropout: Probability.
        """
        query, key, value = self.q(hidden_FH), self.k(asked_FH), self.v(asked_FH)
        attend_group = functools.partial(self._attend_group, dropout)
        if isinstance(bias, DocumentBias):
            attended = attend_documents(attend_group, [query, key, value], bias)
        else:
            attended = attend_pairs(attend_group, query, [key, value], bias)
        output_FH: Tensor = self.o(attended)
        return output_FH

    def _attend_group(self, dropout: float, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        return attend(self._heads(query), self._heads(key), self._heads(value), bias, scale=1.0, dropout=dropout)


class _FeedForward(nn.Module):
    def __init__(self, config: MT5Config) -> None:
        super().__init__()
        self.wi_0 = nn.Linear(config.hidden_size, config.feedforward_size, bias=False)
        self.wi_1 = nn.Linear(config.hidden_size, config.feedforward_size, bias=False)
        self.wo = nn.Linear(config.feedforward_size, config.hidden_size, bias=False)

    def forward(self, hidden: Tensor, dropout: float) -> Tensor:
        inner = functional.gelu(self.wi_0(hidden), approximate="tanh") * self.wi_1(hidden)
        output: Tensor = self.wo(functional.dropout(inner, dropout, training=dropout > 0))
        return output


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward."""

    def __init__(self, config: MT5Config) -> None:
        super().__init__()
        self.self_attention_norm = Norm(config.hidden_size, eps=config.epsilon)
        self.self_attention = Attention(config)
        self.feed_forward_norm = Norm(config.hidden_size, eps=config.epsilon)
        self.feed_forward = _FeedForward(config)

    def forward(self, hidden_RSH: Tensor, bias: Tensor | DocumentBias, dropout: float) -> Tensor:
        """Return the hidden states after this block, ``[R, S, H]``; of documents, ``[F, H]``."""
        normed_RSH = self.self_attention_norm(hidden_RSH)
        if isinstance(bias, DocumentBias):
            attended_RSH = self.self_attention.of_documents(normed_RSH, normed_RSH, bias, dropout)
        else:
            attended_RSH = self.self_attention(normed_RSH, self.self_attention.keys_values(normed_RSH), bias, dropout)
        hidden_RSH = hidden_RSH + functional.dropout(attended_RSH, dropout, training=dropout > 0)
        output_RSH = self.feed_forward(self.feed_forward_norm(hidden_RSH), dropout)
        return hidden_RSH + functional.dropout(output_RSH, dropout, training=dropout > 0)


class DecoderBlock(nn.Module):
    """Self-attention, attention to the encoder, and feed-forward."""

    def __init__(self, config: MT5Config) -> None:
        super().__init__()
        self.self_attention_norm = Norm(config.hidden_size, eps=config.epsilon)
        self.self_attention = Attention(config)
        self.cross_attention_norm = Norm(config.hidden_size, eps=config.epsilon)
        self.cross_attention = Attention(config)
        self.feed_forward_norm = Norm(config.hidden_size, eps=config.epsilon)
        self.feed_forward = _FeedForward(config)

    def forward(
        self,
        hidden_RTH: Tensor,
        encoded_RSH: Tensor,
        bias: Tensor | DocumentBias,
        cross_bias: Tensor | DocumentPairs | None,
        dropout: float,
        cache: LayerCache | None = None,
        cross: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Return the hidden states after this block, ``[R, T, H]``; of documents, ``[F, H]``.

        Args:
            hidden_RTH: Hidden states before it.
            encoded_RSH: States of the encoder; not read where ``cross`` is given.
            bias: Added to scores of self-attention.
            cross_bias: Added to scores of cross attention, or None; of documents, which ask which.
            dropout: Probability; 0 outside training.
            cache: Keys and values of earlier positions; these are added to it.
            cross: Keys and values of the encoder, where they are known already.
        """
        normed_RTH = self.self_attention_norm(hidden_RTH)
        if isinstance(bias, DocumentBias):
            attended_RTH = self.self_attention.of_documents(normed_RTH, normed_RTH, bias, dropout)
        else:
            keys_values = self.self_attention.keys_values(normed_RTH)
            keys_values = keys_values if cache is None else cache.append(*keys_values)
            attended_RTH = self.self_attention(normed_RTH, keys_values, bias, dropout)
        hidden_RTH = hidden_RTH + functional.dropout(attended_RTH, dropout, training=dropout > 0)
        normed_RTH = self.cross_attention_norm(hidden_RTH)
        if isinstance(cross_bias, DocumentPairs):
            attended_RTH = self.cross_attention.of_documents(normed_RTH, encoded_RSH, cross_bias, dropout)
        else:
            cross = cross if cross is not None else self.cross_attention.keys_values(encoded_RSH)
            attended_RTH = self.cross_attention(normed_RTH, cross, cross_bias, dropout)
        hidden_RTH = hidden_RTH + functional.dropout(attended_RTH, dropout, training=dropout > 0)
        output_RTH = self.feed_forward(self.feed_forward_norm(hidden_RTH), dropout)
        return hidden_RTH + functional.dropout(output_RTH, dropout, training=dropout > 0)
