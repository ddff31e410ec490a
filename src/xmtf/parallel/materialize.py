"""Memory and numbers for a model that was cut on the meta device: each process fills its own pieces alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from xmtf.parallel.casts import StepCasts
from xmtf.parallel.pieces import Piece, as_piece
from xmtf.parallel.topology.mesh import Mesh

__all__ = ["CutModel", "Weights", "place_pieces", "read_pieces"]


@dataclass(frozen=True, slots=True)
class CutModel:
    """What a process will hold of a model, before it is given memory.

    Attributes:
        parts: Pipeline stages of this process; the whole model where there is one stage.
        shapes: Name -> shape of every parameter of the whole model.
        empty: Names of those that had no memory before the model was cut.
        casts: Copies of slices that the forward passes of a step make, by part.
    """

    parts: list[Any]
    shapes: dict[str, tuple[int, ...]]
    empty: frozenset[str]
    casts: list[StepCasts] = field(default_factory=list)


class Weights(Protocol):
    """Where weights are read from in parts, such as :class:`xmtf.models.files.stored.StoredTensors`."""

    def part(self, name: str, offset: Sequence[int], shape: Sequence[int]) -> Tensor:
        """Return a part of the tensor of a name, in any number format."""


def place_pieces(
    parts: Iterable[nn.Module],
    shapes: Mapping[str, tuple[int, ...]],
    empty: Collection[str],
    mesh: Mesh,
    device: torch.device,
    weights: Weights | None,
) -> dict[str, Piece]:
    """Give what was cut its memory on a device, and its numbers; return the pieces by name.

    Args:
        parts: What this process holds: the model, or stages of it.
        shapes: Name -> shape of every parameter of the whole model.
        empty: Names of those that had no memory before the model was cut.
        mesh: The processes.
        device: Where this process computes.
        weights: What they are filled from.
    """
    parts = list(parts)
    for part in parts:
        _materialize(part, device)
        _move(part, device)
    pieces = {
        name: as_piece(name, parameter, shapes[name], tensor=mesh.tensor, shard=mesh.shard)
        for part in parts
        for name, parameter in part.named_parameters()
    }
    if weights is not None:
        read_pieces((piece for name, piece in pieces.items() if name in empty), weights)
    return pieces


def _move(model: nn.Module, device: torch.device) -> None:
    """Move everything that torch has not moved as it cut it."""
    for parameter in model.parameters():
        if not isinstance(parameter, DTensor):
            parameter.data = parameter.data.to(device)
    for buffer in model.buffers():
        buffer.data = buffer.data.to(device)


def _materialize(model: nn.Module, device: torch.device) -> None:
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
