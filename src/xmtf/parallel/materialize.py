"""Memory and numbers for a model that was cut on the meta device: each process fills its own pieces alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

from xmtf.parallel.pieces import Piece

__all__ = ["Weights", "materialize", "read_pieces"]


class Weights(Protocol):
    """Where weights are read from in parts, such as :class:`xmtf.models.files.stored.StoredTensors`."""

    def part(self, name: str, offset: Sequence[int], shape: Sequence[int]) -> Tensor:
        """Return a part of the tensor of a name, in any number format."""


def materialize(model: nn.Module, device: torch.device) -> None:
    """Give parameters on the meta device memory, in place; their numbers are not set, ties stay.

    Args:
        model: What this process holds; parameters that have memory are left as they are.
        device: Where it computes.
    """
    made: dict[Tensor, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta and parameter not in made:
                memory = torch.empty_like(parameter, device=device)
                made[parameter] = nn.Parameter(memory, requires_grad=parameter.requires_grad)
            if parameter.is_meta:
                setattr(module, name, made[parameter])
    for module in model.modules():
        if isinstance(module, FSDPModule):  # looks for its parameters again; has none but those of modules inside
            module._apply(lambda tensor: tensor, recurse=False)  # type: ignore[no-untyped-call]  # torch leaves it untyped


@torch.no_grad()
def read_pieces(pieces: Iterable[Piece], weights: Weights) -> None:
    """Read the numbers of pieces, converted to their number format as they are copied.

    Args:
        pieces: Cut, with memory.
        weights: Has the whole of each under its name.
    """
    for piece in pieces:
        if piece.local.numel():
            piece.local.copy_(weights.part(piece.name, piece.offset, piece.local.shape))
