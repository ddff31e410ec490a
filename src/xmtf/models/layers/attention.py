"""Attention as both own models need it: inside segments, with a bias, and never NaN.

Legend: R rows, N heads, T query positions, S key positions, D head size, H hidden size.

Every attention here is ``scaled_dot_product_attention`` with one additive bias that all layers of a
stack share. It holds minus infinity where attention is forbidden, and the position bias elsewhere.
A query that may attend to nothing (padding) attends to everything instead: its output is garbage
that carries no loss, where a row of minus infinity would be NaN and poison the batch.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "additive_bias",
    "alibi_bias",
    "alibi_slopes",
    "attend",
    "compute_dtype",
    "forget_slopes",
    "same_segment",
    "scaled_dot_product_attention",
    "self_attention_mask",
    "slopes_on",
]
_ALL = slice(None)
_LONG = 400
"""Positions from which on torch's attention on CPUs is as fast in bf16 as in fp32, backward pass included."""


def alibi_slopes(num_heads: int) -> list[float]:
    """Return the slope of each head: ``2 ** (-8 i / n)`` for a power of two ``n``.

    Otherwise the slopes of the largest power of two below, then every second slope of the next one.
    Press et al. 2022; BLOOM's 176B has 112 heads.

    >>> alibi_slopes(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    >>> alibi_slopes(6) == alibi_slopes(4) + [0.5, 0.125]
    True
    """
    power = 2 ** int(math.log2(num_heads))
    slopes = [2.0 ** (-8.0 * i / power) for i in range(1, power + 1)]
    more = [2.0 ** (-4.0 * i / power) for i in range(1, 2 * power, 2)]
    return slopes + more[: num_heads - power]


@functools.lru_cache(maxsize=8)
def slopes_on(num_heads: int, device: torch.device) -> Tensor:
    """Return the slopes of all heads, fp32 ``[N]``, sent to a device once."""
    return torch.tensor(alibi_slopes(num_heads), device=device)


def forget_slopes() -> None:
    """Forget the slopes that are kept for each device."""
    slopes_on.cache_clear()


def alibi_bias(
    num_heads: int, num_queries: int, num_keys: int, device: torch.device, *, absolute: bool, heads: slice = _ALL
) -> Tensor:
    """Return the fp32 position bias ``slope * (key - query)``, ``[N, T, S]``; queries are the last positions.

    Args:
        num_heads: Of the whole model, which decides the slopes.
        num_queries: T.
        num_keys: S.
        device: Where the bias is wanted.
        absolute: ``slope * key`` instead.
        heads: Those that are held here: N of the result.

    Computed relatively and in fp32: ``slope * key`` (as BLOOM was trained, ``absolute``) is the same to the
    softmax, but cast to bf16 it is wrong by up to 4.0 at position 2,047, and neighbours become equal.

    One head of slope 0.5, three positions::

        key         0     1    2
        query 0     0    .5    1      (later keys are masked)
        query 1   -.5     0   .5
        query 2    -1   -.5    0
    """
    keys_S = torch.arange(num_keys, device=device, dtype=torch.float32)
    slopes_N11 = slopes_on(num_heads, device)[heads, None, None]
    if absolute:
        return (slopes_N11 * keys_S).expand(-1, num_queries, -1)
    queries_T1 = torch.arange(num_keys - num_queries, num_keys, device=device, dtype=torch.float32)[:, None]
    return slopes_N11 * (keys_S - queries_T1)


def same_segment(query_ids_RT: Tensor, key_ids_RS: Tensor) -> Tensor:
    """Return where query and key are in the same segment and are not padding, bool ``[R, T, S]``.

    ::

        query ids    1 2 0
        key ids      1 1 2 0
        allowed      1 1 0 0
                     0 0 1 0
                     0 0 0 0
    """
    return (query_ids_RT[:, :, None] == key_ids_RS[:, None, :]) & (query_ids_RT != 0)[:, :, None]


def self_attention_mask(
    num_queries: int, key_ids_RS: Tensor | None, key_is_input_RS: Tensor | None, num_keys: int, device: torch.device
) -> Tensor:
    """Return where a decoder may attend, bool ``[R or 1, T, S]``; the queries are the last ``T`` of the keys.

    Args:
        num_queries: T.
        key_ids_RS: Segment ids, or None for one segment without padding.
        key_is_input_RS: Given, the inputs of a segment see each other in both directions (prefix LM).
        num_keys: S.
        device: Where the mask is wanted.

    Worked example, one row (0 pads)::

        segment_ids   1 1 1 2 2 0            is_input   1 1 0 1 0 0

        causal  1 . . . . .         prefix  1 1 . . . .
                1 1 . . . .                 1 1 . . . .
                1 1 1 . . .                 1 1 1 . . .
                . . . 1 . .                 . . . 1 . .
                . . . 1 1 .                 . . . 1 1 .
                . . . . . .                 . . . . . .
    """
    allowed_1TS = torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril(num_keys - num_queries)[None]
    if key_is_input_RS is not None:
        query_is_input_RT = key_is_input_RS[:, -num_queries:]
        allowed_1TS = allowed_1TS | (query_is_input_RT[:, :, None] & key_is_input_RS[:, None, :])
    if key_ids_RS is not None:
        allowed_1TS = allowed_1TS & same_segment(key_ids_RS[:, -num_queries:], key_ids_RS)
    return allowed_1TS


def additive_bias(allowed_RTS: Tensor | None, bias_NTS: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to attention scores, ``[R, N, T, S]`` (R or N may be 1), or None for nothing.

    Args:
        allowed_RTS: Where attention is allowed; None for everywhere. A query without any key gets all keys.
        bias_NTS: Position bias, or None.
        dtype: Of the result: what queries and keys are computed in.
    """
    if allowed_RTS is None:
        return None if bias_NTS is None else bias_NTS[None].to(dtype)
    allowed_RTS = allowed_RTS | ~allowed_RTS.any(dim=-1, keepdim=True)
    bias = torch.zeros((), dtype=dtype, device=allowed_RTS.device) if bias_NTS is None else bias_NTS[None].to(dtype)
    return torch.where(allowed_RTS[:, None], bias, -math.inf)


def attend(
    query_RNTD: Tensor, key_RNSD: Tensor, value_RNSD: Tensor, bias: Tensor | None, *, scale: float, dropout: float = 0.0
) -> Tensor:
    """Return attention's output with heads joined, ``[R, T, N * D]``; softmax runs in fp32 inside the kernel."""
    output_RNTD = scaled_dot_product_attention(
        query_RNTD, key_RNSD, value_RNSD, attn_mask=bias, dropout_p=dropout, scale=scale
    )
    return output_RNTD.transpose(1, 2).flatten(2)


def scaled_dot_product_attention(
    query_RNTD: Tensor,
    key_RKSD: Tensor,
    value_RKSD: Tensor,
    *,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return torch's attention ``[R, N, T, D]``; of short rows in bf16 on a CPU, gradients are computed in fp32.

    There the backward pass of torch 2.13 takes two to seven times as long in bf16 as in fp32, which is more exact.
    """
    tensors = (query_RNTD, key_RKSD, value_RKSD)
    slow = all(one.dtype == torch.bfloat16 and one.device.type == "cpu" for one in tensors)
    slow = slow and torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
    slow = slow and max(query_RNTD.shape[2], key_RKSD.shape[2]) < _LONG and value_RKSD.shape[3] == key_RKSD.shape[3]
    added = attn_mask is None or (attn_mask.dtype == torch.bfloat16 and not attn_mask.requires_grad)
    if not slow or not added or dropout_p:
        return functional.scaled_dot_product_attention(
            *tensors, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
        )
    if enable_gqa:
        shared = query_RNTD.shape[1] // key_RKSD.shape[1]
        key_RKSD, value_RKSD = (one.repeat_interleave(shared, dim=1) for one in tensors[1:])
    found: Tensor = _GradientsInFp32.apply(query_RNTD, key_RKSD, value_RKSD, attn_mask, is_causal, scale)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return found


class _GradientsInFp32(torch.autograd.Function):
    """Attention in bf16 on a CPU, its backward pass in fp32; what is kept in between is bf16."""

    @staticmethod
    def forward(
        ctx: Any,
        query_RNTD: Tensor,
        key_RNSD: Tensor,
        value_RNSD: Tensor,
        bias: Tensor | None,
        is_causal: bool,
        scale: float | None,
    ) -> Tensor:
        tensors = (query_RNTD, key_RNSD, value_RNSD)
        found: Tensor
        found, sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            *tensors, 0.0, is_causal, attn_mask=bias, scale=scale
        )
        ctx.save_for_backward(*tensors, found, sums, bias)
        ctx.options = (is_causal, scale)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        *tensors, sums, bias = ctx.saved_tensors
        is_causal, scale = ctx.options
        found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradients[0].float(), *(one.float() for one in tensors), sums, 0.0, is_causal,
            attn_mask=None if bias is None else bias.float(), scale=scale,
        )  # fmt: skip
        return *(one.to(torch.bfloat16) for one in found), None, None, None


def compute_dtype(weight: Tensor) -> torch.dtype:
    """Return what matrix products with ``weight`` are computed in: autocast's choice, or the weight's own."""
    device = weight.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return weight.dtype
