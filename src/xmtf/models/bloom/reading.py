"""BLOOM over token trees: every product with weights runs once over all nodes, without padding.

Legend: R trees, T nodes of a tree, F nodes of all blocks, P chosen nodes, H hidden size, N heads, D head size.

Only attention looks at blocks. Of the last layer, where keys and values are all that other nodes ask
for, the second half is computed at the chosen nodes alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from xmtf.models.bloom.block import Block
from xmtf.models.bloom.config import BloomConfig
from xmtf.models.layers.attention import attend, compute_dtype, slopes_on
from xmtf.models.layers.tied import SlicedEmbedding
from xmtf.models.layers.trees import Trees

__all__ = ["BloomParts", "read_forest"]


class BloomParts(Protocol):
    """What is read of a :class:`xmtf.models.bloom.Bloom`."""

    @property
    def config(self) -> BloomConfig:
        """Its shape."""

    @property
    def word_embeddings(self) -> nn.Embedding | SlicedEmbedding:
        """The table of tokens."""

    @property
    def word_embeddings_layernorm(self) -> nn.LayerNorm:
        """The norm behind the table."""

    @property
    def h(self) -> nn.ModuleList | nn.ModuleDict:
        """Blocks, in order."""

    @property
    def ln_f(self) -> nn.LayerNorm:
        """The norm behind the last block."""


def read_forest(model: BloomParts, blocks: Sequence[Trees], wanted_P: Tensor) -> Tensor:
    """Return hidden states ``[P, H]``; see :class:`xmtf.models.layers.trees.ForestReader`."""
    weight_VH = model.word_embeddings.weight
    tokens_F = torch.cat([block.tokens.flatten() for block in blocks])
    hidden_FH = model.word_embeddings_layernorm(torch.nn.functional.embedding(tokens_F, weight_VH))
    biases = [_bias(model, block) for block in blocks]
    shapes = [block.tokens.shape for block in blocks]
    for index, layer in enumerate(model.h):
        assert isinstance(layer, Block)
        last = index + 1 == len(model.h)
        hidden_FH = _layer(layer, hidden_FH, shapes, biases, wanted_P if last else None)
    normed_PH: Tensor = model.ln_f(hidden_FH)
    return normed_PH


def _bias(model: BloomParts, trees: Trees) -> Tensor:
    """Return what is added to attention scores, ``[R, N, T, T]``: ALiBi over depths, on ancestors only."""
    config, dtype = model.config, compute_dtype(model.word_embeddings.weight)
    slopes_N11 = slopes_on(config.num_heads, trees.tokens.device)[:, None, None]
    distances_RTT = trees.depths[:, None, :] if config.absolute_alibi else trees.distances()
    alibi_RNTT = (slopes_N11 * distances_RTT[:, None]).to(dtype)
    return torch.where(trees.allowed()[:, None], alibi_RNTT, -torch.inf)


def _layer(
    layer: Block,
    hidden_FH: Tensor,
    shapes: Sequence[torch.Size],
    biases: Sequence[Tensor],
    wanted_P: Tensor | None,
) -> Tensor:
    normed_FH = layer.input_layernorm(hidden_FH)
    attention = layer.self_attention
    qkv_FN3D = attention.query_key_value(normed_FH).unflatten(-1, attention.shape)
    attended_FH = torch.empty_like(normed_FH)
    start = 0
    for shape, bias in zip(shapes, biases, strict=True):
        end = start + shape.numel()
        query_RNTD, key_RNTD, value_RNTD = (
            part.unflatten(0, shape).transpose(1, 2) for part in qkv_FN3D[start:end].unbind(-2)
        )
        scale = attention.shape[2] ** -0.5
        attended_FH[start:end] = attend(query_RNTD, key_RNTD, value_RNTD, bias, scale=scale).flatten(0, 1)
        start = end
    if wanted_P is not None:
        attended_FH, hidden_FH, normed_FH = attended_FH[wanted_P], hidden_FH[wanted_P], normed_FH[wanted_P]
    residual_FH = normed_FH if layer.residual_after_norm else hidden_FH
    hidden_FH = residual_FH + attention.dense(attended_FH)
    normed_FH = layer.post_attention_layernorm(hidden_FH)
    residual_FH = normed_FH if layer.residual_after_norm else hidden_FH
    output_FH: Tensor = residual_FH + layer.mlp(normed_FH)
    return output_FH
