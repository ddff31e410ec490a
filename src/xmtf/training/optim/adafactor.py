"""Adafactor as T5X has it, for mT5-family models.

``torch.optim.Adafactor`` differs: it factors every matrix, puts epsilon elsewhere and takes the
learning rate relative to 1 / sqrt(step). Shazeer and Stern 2018; the constants are those of T5X.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from xmtf.models.layers.host_copies import on_host, remember

__all__ = ["MIN_FACTORED_SIZE", "Adafactor", "Sharding"]

MIN_FACTORED_SIZE = 128
"""Second moments of a matrix are factored where both its sides are at least this long."""


class Sharding(Protocol):
    """A parameter of which this process holds a piece."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole parameter."""

    def add(self, tensor: Tensor, dimension: int | None = None) -> Tensor:
        """Add up a tensor, in place, over the processes that a dimension (default: any) is cut over."""


class Adafactor(torch.optim.Optimizer):
    """Factored second moments, updates clipped to RMS 1 and scaled with the parameter's RMS; no momentum.

    For a gradient G of a matrix (both sides at least 128), step t from 0::

        decay    = 1 - (t + 1) ** -decay_rate          0 at the first step
        row, col = moving means of G ** 2 + 1e-30 over columns and over rows
        update   = G / sqrt(row * col / mean(row))
        update  /= max(1, RMS(update))
        weight  -= lr * max(RMS(weight), 1e-3) * update

    Smaller tensors and vectors keep the whole second moment. Weight decay is decoupled, scaled with ``lr``.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate, relative to the size of each parameter (1e-3 for mT0).
        decay_rate: Exponent of the second moments' decay.
        weight_decay: Decoupled decay; T5X has none.
        sharding: Parameters that are pieces: means over rows, columns and whole parameters go over all pieces.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        decay_rate: float = 0.8,
        weight_decay: float = 0.0,
        sharding: Mapping[Tensor, Sharding] | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "decay_rate": decay_rate, "weight_decay": weight_decay})
        self._spread = sharding or {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Args:
            closure: Not taken; present because torch's optimizers have it.
        """
        assert closure is None, "closures are not supported"
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        state, sharding = self.state[parameter], self._spread.get(parameter)
        if not state:
            state.update(_new_state(parameter, sharding))
        updates = int(on_host(state["step"])) + 1
        state["step"] = _count(updates)
        decay = 1.0 - float(updates) ** -group["decay_rate"]
        update = _normalised(parameter.grad.float(), state, decay, sharding)
        update.div_(_rms(update, sharding).clamp_(min=1.0))
        scale = _rms(parameter.float(), sharding).clamp_(min=1e-3).mul_(group["lr"])
        if group["weight_decay"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(update.mul_(scale).to(parameter.dtype))


def _new_state(parameter: Tensor, sharding: Sharding | None) -> dict[str, Tensor]:
    state = {"step": _count(0)}
    zeros = parameter.new_zeros
    whole = parameter.shape if sharding is None else sharding.shape
    if parameter.ndim == 2 and min(whole) >= MIN_FACTORED_SIZE:
        state["row"] = zeros(parameter.shape[0], dtype=torch.float32)
        state["column"] = zeros(parameter.shape[1], dtype=torch.float32)
    else:
        state["square"] = zeros(parameter.shape, dtype=torch.float32)
    return state


def _count(updates: int) -> Tensor:
    """Return how many updates there were, fp32 as torch's optimizers keep it; the host remembers it."""
    return remember(torch.tensor(float(updates)), np.array(updates))


def _normalised(gradient: Tensor, state: dict[str, Tensor], decay: float, sharding: Sharding | None) -> Tensor:
    """Return the gradient over the root of its second moment; a new tensor."""
    square = gradient.square().add_(1e-30)
    if "square" in state:
        state["square"].lerp_(square, 1 - decay)
        return gradient * state["square"].rsqrt()
    state["row"].lerp_(_mean(square, 1, sharding), 1 - decay)
    state["column"].lerp_(_mean(square, 0, sharding), 1 - decay)
    row_factor = (state["row"] / _mean(state["row"], 0, sharding)).rsqrt_()
    return torch.mul(gradient, row_factor[:, None], out=square).mul_(state["column"].rsqrt()[None, :])


def _mean(tensor: Tensor, dimension: int, sharding: Sharding | None) -> Tensor:
    """Return the mean over a dimension of the whole; of a vector of rows, dimension 0 is the rows."""
    if sharding is None:
        return tensor.mean(dim=dimension)
    return sharding.add(tensor.sum(dim=dimension), dimension).div_(sharding.shape[dimension])


def _rms(tensor: Tensor, sharding: Sharding | None) -> Tensor:
    if sharding is None:
        norm: Tensor = torch.linalg.vector_norm(tensor)
        return norm.div_(tensor.numel() ** 0.5)
    return sharding.add(tensor.square().sum()).div_(math.prod(sharding.shape)).sqrt_()
