"""mT5 over prompts and the trees of their answers: the encoder reads a prompt once, the decoder all answers at once.

Legend: R prompts, S positions of a prompt, T nodes of its tree, E positions of all prompts, F nodes of
all trees, V tokens of the table, P chosen nodes, H hidden size, N heads, D head size.

Every product with weights runs once over all positions, without padding; only attention looks at blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from xmtf.models.layers.attention import additive_bias, attend, compute_dtype, same_segment
from xmtf.models.layers.trees import PromptRows, Trees
from xmtf.models.mt5.block import Attention, DecoderBlock, EncoderBlock
from xmtf.models.mt5.relative_positions import relative_buckets
from xmtf.models.mt5.stack import Stack

__all__ = ["read_prompt_forest"]


def read_prompt_forest(
    table_VH: Tensor,
    encoder: Stack,
    decoder: Stack,
    prompts: Sequence[PromptRows],
    blocks: Sequence[Trees],
    wanted_P: Tensor,
) -> Tensor:
    """Return hidden states ``[P, H]``; see :class:`xmtf.models.layers.trees.PromptForestReader`."""
    dtype = compute_dtype(table_VH)
    encoded_EH = _encode(table_VH, encoder, prompts, dtype)
    sides = [block.tokens.shape for block in blocks], [rows.tokens.shape for rows in prompts]
    biases = [_tree_bias(decoder, block, dtype) for block in blocks]
    cross_biases = [
        None
        if rows.segment_ids is None
        else additive_bias(same_segment(torch.ones_like(block.tokens), rows.segment_ids), None, dtype)
        for rows, block in zip(prompts, blocks, strict=True)
    ]
    hidden_FH = functional.embedding(torch.cat([block.tokens.flatten() for block in blocks]), table_VH)
    for block in decoder.blocks:
        assert isinstance(block, DecoderBlock)
        normed_FH = block.self_attention_norm(hidden_FH)
        hidden_FH = hidden_FH + _attend(block.self_attention, normed_FH, normed_FH, (sides[0], sides[0]), biases)
        normed_FH = block.cross_attention_norm(hidden_FH)
        hidden_FH = hidden_FH + _attend(block.cross_attention, normed_FH, encoded_EH, sides, cross_biases)
        hidden_FH = hidden_FH + block.feed_forward(block.feed_forward_norm(hidden_FH), 0.0)
    normed_PH: Tensor = decoder.final_norm(hidden_FH[wanted_P])
    return normed_PH


def _encode(table_VH: Tensor, encoder: Stack, prompts: Sequence[PromptRows], dtype: torch.dtype) -> Tensor:
    """Return the states of all prompts, ``[E, H]``."""
    shapes = [rows.tokens.shape for rows in prompts]
    table_NSS = encoder.relative_bias(*[max(shape[1] for shape in shapes)] * 2)
    biases = []
    for rows, (_, length) in zip(prompts, shapes, strict=True):
        ids_RS = rows.segment_ids
        allowed_RSS = None if ids_RS is None else same_segment(ids_RS, ids_RS)
        # the bias depends on distance alone, so a shorter row takes the corner of a longer one's
        biases.append(additive_bias(allowed_RSS, table_NSS[:, :length, :length], dtype))
    hidden_EH = functional.embedding(torch.cat([rows.tokens.flatten() for rows in prompts]), table_VH)
    for block in encoder.blocks:
        assert isinstance(block, EncoderBlock)
        normed_EH = block.self_attention_norm(hidden_EH)
        hidden_EH = hidden_EH + _attend(block.self_attention, normed_EH, normed_EH, (shapes, shapes), biases)
        hidden_EH = hidden_EH + block.feed_forward(block.feed_forward_norm(hidden_EH), 0.0)
    encoded_EH: Tensor = encoder.final_norm(hidden_EH)
    return encoded_EH


def _tree_bias(decoder: Stack, trees: Trees, dtype: torch.dtype) -> Tensor:
    """Return what is added to scores of the decoder's self-attention, ``[R, N, T, T]``."""
    relative = decoder.relative_bias
    allowed_RTT, distances_RTT = trees.allowed(), trees.distances()
    buckets_RTT = relative_buckets(
        distances_RTT.clamp(max=0),
        bidirectional=False,
        num_buckets=len(relative.weight),
        max_distance=relative.max_distance,
    )
    bias_RNTT = relative.weight[buckets_RTT].permute(0, 3, 1, 2).to(dtype)
    return torch.where(allowed_RTT[:, None], bias_RNTT, -torch.inf)


def _attend(
    attention: Attention,
    queries_FH: Tensor,
    keys_EH: Tensor,
    shapes: tuple[Sequence[torch.Size], Sequence[torch.Size]],
    biases: Sequence[Tensor | None],
) -> Tensor:
    """Return attention's output ``[F, H]``: each block of queries over the keys of the block at its place."""
    query_F, key_E, value_E = attention.q(queries_FH), attention.k(keys_EH), attention.v(keys_EH)
    attended_F = torch.empty_like(query_F)
    start = key_start = 0
    for shape, key_shape, bias in zip(*shapes, biases, strict=True):
        end, key_end = start + shape.numel(), key_start + key_shape.numel()
        query_RNTD = _heads(query_F[start:end], shape, attention.head_size)
        key_RNSD = _heads(key_E[key_start:key_end], key_shape, attention.head_size)
        value_RNSD = _heads(value_E[key_start:key_end], key_shape, attention.head_size)
        attended_F[start:end] = attend(query_RNTD, key_RNSD, value_RNSD, bias, scale=1.0).flatten(0, 1)
        start, key_start = end, key_end
    output_FH: Tensor = attention.o(attended_F)
    return output_FH


def _heads(flat: Tensor, shape: torch.Size, head_size: int) -> Tensor:
    return flat.view(*shape, -1, head_size).transpose(1, 2)
