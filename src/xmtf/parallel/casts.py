"""Copies of slices in the number format of computation: one of each for all micro-batches of a step.

Autocast remembers copies of a model's own parameters alone. What a process holds of a slice is a view of one, so every
micro-batch under way would make a copy and keep it for its backward pass: 40 of 66 GiB for a stage of BLOOMZ 176B with
35 of them in flight. Of autocast's copies all gradients are kept in bf16 to the end of each backward pass, as they go
through the node that made the copy, which comes last; here each is added to its matrix's as soon as it is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["StepCasts"]


@dataclass(slots=True)
class StepCasts:
    """Remembers what it has cast, until it is told that the step has all its gradients."""

    _known: dict[Tensor, tuple[int, Tensor]] = field(default_factory=dict, repr=False)

    def cast(self, parameter: Tensor, held: Tensor) -> Tensor:
        """Return what is held of a matrix in the number format that autocast multiplies in.

        Args:
            parameter: The matrix as the model has it.
            held: Of it, in this process; what autocast would not cast, or needs no gradient here, is returned as it is.
        """
        device = held.device.type
        trains = torch.is_grad_enabled() and held.requires_grad and held.dtype == torch.float32
        if not (trains and torch.is_autocast_enabled(device)):
            return held
        version, known = self._known.get(parameter, (None, held))
        if version != held._version:  # weights that were changed in place are cast again
            known = held.detach().to(torch.get_autocast_dtype(device))
            self._known[parameter] = held._version, known
        result: Tensor = _Known.apply(held, known)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return result

    def forget(self) -> None:
        """Let all copies go, after a step's last backward pass."""
        self._known.clear()


class _Known(torch.autograd.Function):
    """A cast whose result is known."""

    @staticmethod
    def forward(ctx: Any, held: Tensor, known: Tensor) -> Tensor:
        ctx.dtype = held.dtype
        return known.view_as(known)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return gradients[0].to(ctx.dtype), None
