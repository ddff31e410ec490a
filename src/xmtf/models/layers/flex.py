"""FlexAttention for our BLOOM: the document mask and ALiBi computed inside the kernel.

The reference path adds one dense bias ``[R, N, T, T]`` to attention scores, of which packed rows forbid
most: at rows of 2,048 tokens with 21 examples 93 %. FlexAttention skips forbidden blocks and computes
the bias from the slopes, so neither mask nor bias exists in memory. torch has no backward pass for it on
CPUs, so it is for GPUs; on a CPU its forward pass runs, which is how it is tested against the reference.

Legend: R rows, N heads, T positions, D head size.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from xmtf.models.layers.attention import slopes_on

__all__ = ["FlexBias", "alibi_flex_bias", "flex_attend", "flex_takes"]
_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class FlexBias:
    """What takes the place of the additive bias; all layers share it.

    Attributes:
        mask: Blocks of positions that may attend to one another.
        slopes_N: ALiBi's slope of each head, fp32.
    """

    mask: BlockMask
    slopes_N: Tensor  # noqa: N815 - shape suffix

    def score(self, score: Tensor, row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """Return a score with the position bias added: ``slope * (key - query)``, in fp32."""
        return score + self.slopes_N[head] * (key - query)


def flex_takes(head_size: int) -> bool:
    """Return whether the kernel has heads of this size: powers of two from 16 to 256."""
    return 16 <= head_size <= 256 and head_size & (head_size - 1) == 0


def alibi_flex_bias(
    num_heads: int, segment_ids_RT: Tensor, is_input_RT: Tensor | None, heads: slice = _ALL
) -> FlexBias:
    """Return the mask and slopes of packed rows: what :func:`xmtf.models.layers.attention.self_attention_mask` allows.

    Padding attends to padding before it, so that no query is without a key.

    Args:
        num_heads: Of the whole model, which decides the slopes.
        segment_ids_RT: Segment ids; 0 is padding.
        is_input_RT: Given, the inputs of a segment see each other in both directions (prefix LM).
        heads: Those that are held here, N of them.
    """

    def allowed(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        order = key <= query
        if is_input_RT is not None:
            order = order | (is_input_RT[row, query] & is_input_RT[row, key])
        return order & (segment_ids_RT[row, query] == segment_ids_RT[row, key])

    rows, length = segment_ids_RT.shape
    mask = create_block_mask(allowed, rows, None, length, length, device=segment_ids_RT.device)
    return FlexBias(mask, slopes_on(num_heads, segment_ids_RT.device)[heads])


def flex_attend(query_RNTD: Tensor, key_RNTD: Tensor, value_RNTD: Tensor, bias: FlexBias, *, scale: float) -> Tensor:
    """Return attention's output with heads joined, ``[R, T, N * D]``; compiled on a GPU."""
    assert len(bias.slopes_N) == query_RNTD.shape[1], "one slope a head"
    kernel: Any = _compiled() if query_RNTD.is_cuda else flex_attention
    output_RNTD: Tensor = kernel(
        query_RNTD, key_RNTD, value_RNTD, score_mod=bias.score, block_mask=bias.mask, scale=scale
    )
    return output_RNTD.transpose(1, 2).flatten(2)


@functools.cache
def _compiled() -> object:
    return torch.compile(flex_attention)
