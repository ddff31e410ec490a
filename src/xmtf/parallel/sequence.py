"""Positions between sliced matrices, shared among the processes that slice (Korthikanti et al. 2022).

::

    own positions -> [what enters] -> gathered -> [first matrix] ... [second matrix] -> added up, own positions
                                      gradient: added up, own       gradient: gathered

A matrix keeps its own positions of what it reads for the backward pass and gathers the others again, while the gradient
of its inputs is computed. Positions are the last dimension but one, and a multiple of the processes.

Legend: E own positions, P all positions, H hidden size, O outputs of a matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed import Work
from torch.nn import functional

from xmtf.models.layers.shares import PositionShares
from xmtf.parallel.topology.ranks import Ranks

__all__ = ["Gathered", "added_up_own", "cast_to_compute", "gathered", "own_positions", "shares_of"]


def shares_of(tensor: Ranks) -> PositionShares:
    """Return how the processes of ``tp`` share positions."""

    def whole(own: Tensor, length: int) -> Tensor:
        return _joined(own, length, tensor, alike=True)

    def asked(own: Tensor, length: int) -> Tensor:
        return _joined(cast_to_compute(own), length, tensor, alike=False)

    return PositionShares(tensor.size, whole, asked)


def cast_to_compute(hidden: Tensor) -> Tensor:
    """Return hidden states in the number format that autocast multiplies in."""
    device = hidden.device.type
    return hidden.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else hidden


def added_up_own(part: Tensor, tensor: Ranks) -> Tensor:
    """Return this process's positions of the sum over all; padding is added where they are no multiple."""
    result: Tensor = _AddedUpOwn.apply(part, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def own_positions(whole: Tensor, tensor: Ranks) -> Tensor:
    """Return this process's positions of what all have; its gradient is put together."""
    result: Tensor = _Own.apply(whole, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def gathered(own: Tensor, tensor: Ranks) -> Tensor:
    """Return all positions; each process has a share of their gradient, which is added up."""
    result: Tensor = _Read.apply(own, _Source(tensor))  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class Gathered:
    """What several matrices read: all positions, of which they keep this process's own.

    Args:
        own: This process's positions ``[..., E, H]``.
        tensor: Processes that share them.

    Attributes:
        whole: All positions ``[..., P, H]``.
    """

    def __init__(self, own: Tensor, tensor: Ranks) -> None:
        self.tensor, self._source = tensor, _Source(tensor)
        self.own = own
        self.whole: Tensor = _Read.apply(own, self._source)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def product(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the product with a matrix ``[O, H]``, ``[..., P, O]``."""
        dtype = self.own.dtype
        bias = None if bias is None else bias.to(dtype)
        given = self.whole, weight.to(dtype), bias, self.own.detach(), self._source
        result: Tensor = _Product.apply(*given)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result


class _Source:
    """Gathers what matrices read; in a backward pass once for all of them."""

    def __init__(self, tensor: Ranks) -> None:
        self.tensor = tensor
        self._again: Callable[[], Tensor] | None = None

    def begin_again(self, own: Tensor) -> Callable[[], Tensor]:
        """Begin to gather, unless another matrix has; return what waits for the end of it."""
        if self._again is None:
            self._again = _once(_gather(own, self.tensor))
        return self._again

    def finish(self, gradient: Tensor) -> Tensor:
        """Return the own positions of the gradient's sum, when all matrices have given their part of it."""
        self._again = None
        return _scatter(gradient, self.tensor)


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, source: _Source) -> Tensor:
        ctx.source = source
        return _gather(own, source.tensor)()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.source.finish(gradients[0]), None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, weight: Tensor, bias: Tensor | None, own: Tensor, source: _Source) -> Tensor:
        ctx.save_for_backward(own, weight)
        ctx.source = source
        return functional.linear(whole, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        own, weight = ctx.saved_tensors
        of_inputs, of_weight, of_bias = ctx.needs_input_grad[:3]
        gradient = gradients[0]
        gradient_PO = gradient.flatten(0, -2)
        waiting = ctx.source.begin_again(own) if of_weight else None  # travels while the next product is computed
        inputs = gradient @ weight if of_inputs else None
        matrix = None if waiting is None else gradient_PO.T @ waiting().flatten(0, -2)
        return inputs, matrix, gradient_PO.sum(0) if of_bias else None, None, None


class _AddedUpOwn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, tensor: Ranks) -> Tensor:
        ctx.tensor, ctx.length = tensor, part.shape[-2]
        return _scatter(part, tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _gather(gradients[0], ctx.tensor)().narrow(-2, 0, ctx.length), None


class _Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, tensor: Ranks) -> Tensor:
        ctx.tensor, ctx.length = tensor, whole.shape[-2]
        return _narrowed(whole, tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _gather(gradients[0], ctx.tensor)().narrow(-2, 0, ctx.length), None


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, length: int, tensor: Ranks, alike: bool) -> Tensor:
        ctx.tensor, ctx.alike = tensor, alike
        whole = _gather(own, tensor)().narrow(-2, 0, length)
        return whole.clone() if whole.ndim == 3 else whole  # no view: FSDP2 warns of models that return one

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        back = _narrowed if ctx.alike else _scatter
        return back(gradients[0], ctx.tensor), None, None, None


def _joined(own: Tensor, length: int, tensor: Ranks, *, alike: bool) -> Tensor:
    result: Tensor = _Joined.apply(own, length, tensor, alike)  # type: ignore[no-untyped-call]  # as torch's
    return result


def _gather(own: Tensor, tensor: Ranks) -> Callable[[], Tensor]:
    whole, work = tensor.begin_gather(own.movedim(-2, 0).contiguous())
    return lambda: _after(work, whole).movedim(0, -2).contiguous()


def _after(work: Work, whole: Tensor) -> Tensor:
    work.wait()
    return whole


def _once(wait: Callable[[], Tensor]) -> Callable[[], Tensor]:
    found: list[Tensor] = []

    def waited() -> Tensor:
        if not found:
            found.append(wait())
        return found[0]

    return waited


def _scatter(part: Tensor, tensor: Ranks) -> Tensor:
    front = part.movedim(-2, 0)
    padding = -len(front) % tensor.size
    if padding:
        front = torch.cat([front, front.new_zeros(padding, *front.shape[1:])])
    return tensor.scatter_sum(front.contiguous()).movedim(0, -2)


def _narrowed(whole: Tensor, tensor: Ranks) -> Tensor:
    """Return own positions, zeros where there are no more."""
    length = whole.shape[-2]
    here = tensor.slice_of(length)
    own = whole.narrow(-2, here.start, here.stop - here.start)
    padding = -(-length // tensor.size) - own.shape[-2]
    return functional.pad(own, (0, 0, 0, padding)) if padding else own.contiguous()
