"""The embedding's gradient, added straight into ``.grad``.

With a vocabulary of 250,000 the embedding is most of a small model. Autograd makes the gradient of a lookup as a dense
matrix of zeros with a few rows filled, and adds all of it to ``.grad``: for a hidden size of 256 two skips 257 MB in
each micro-batch. Here the few rows are added where they belong. Together with a head that adds its product in place, no
second matrix of that size exists. Gradients are the same to rounding.

It needs the weight on this device (whole, or the slice of a vocabulary that this process holds) and a
loop that calls ``backward``; hooks on the weight's gradient do not run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SlicedEmbedding", "embed", "lookup"]


class SlicedEmbedding(nn.Module):
    """Some rows of an embedding whose other rows are held by other processes.

    Args:
        weight_VH: The rows held here.
        first: Token of the first of them.
        add_up: Adds up a tensor over all processes; its gradient goes through as it is.
    """

    def __init__(self, weight_VH: nn.Parameter, first: int, add_up: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = weight_VH
        self.first = first
        self.add_up = add_up


def lookup(tokens: Tensor, table: nn.Module, *, in_place: bool) -> Tensor:
    """Return the rows of ``tokens`` in an embedding or in a sliced one, ``[..., H]``; see :func:`embed`.

    Of a slice, tokens of other slices give zeros, and the sum over all processes is the embedding::

        tokens          2 0 3       rows 0 and 1 are held here, 2 and 3 elsewhere
        looked up       . a .       b . c
        sum             b a c
    """
    weight_VH = table.weight
    assert isinstance(weight_VH, Tensor)
    if not isinstance(table, SlicedEmbedding):
        return embed(tokens, weight_VH, in_place=in_place)
    rows = tokens - table.first
    elsewhere = (rows < 0) | (rows >= len(weight_VH))
    embedded = embed(rows.masked_fill(elsewhere, 0), weight_VH, in_place=in_place)
    return table.add_up(embedded.masked_fill(elsewhere[..., None], 0.0))


def embed(tokens: Tensor, weight_VH: Tensor, *, in_place: bool) -> Tensor:
    """Return the rows of ``tokens`` (any shape), ``[..., H]``; under autocast in fp32, as the residual stream is.

    ::

        tokens          2 0 2
        gradient        a b c            of the three embedded positions
        weight.grad     row 0 += b       row 2 += a + c       other rows are not touched

    Args:
        tokens: int64 ids.
        weight_VH: Embedding.
        in_place: Add this lookup's gradient into ``weight_VH.grad`` as shown, instead of giving autograd a
            dense matrix.
    """
    if in_place and weight_VH.requires_grad and torch.is_grad_enabled():
        embedded: Tensor = _Embed.apply(tokens, weight_VH)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return embedded
    embedded = functional.embedding(tokens, weight_VH)
    return embedded.float() if torch.is_autocast_enabled(embedded.device.type) else embedded


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight_VH: Tensor) -> Tensor:
        ctx.save_for_backward(tokens)
        ctx.weight_VH = weight_VH
        return functional.embedding(tokens, weight_VH)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (tokens,) = ctx.saved_tensors
        weight_VH = ctx.weight_VH
        # Autograd would make a dense [V, H] gradient for a few rows, beside the one that the head adds into.
        if weight_VH.grad is None:
            weight_VH.grad = torch.zeros_like(weight_VH)
        gradient_PH = gradients[0].reshape(-1, weight_VH.shape[1])
        weight_VH.grad.index_add_(0, tokens.flatten(), gradient_PH.to(weight_VH.dtype))
        return None, None
