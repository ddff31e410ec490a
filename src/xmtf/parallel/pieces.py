"""What one process holds of each parameter: what its optimizer updates, and where it lies in the whole.

A parameter may be sliced (``tp``) along one dimension, and the slice sharded (``dp_shard``) along its
rows; the two add up to one offset. The optimizer works on plain tensors that share memory with the
model's own, so neither it nor the checkpoints have to know how the model was cut.

::

    weight [8, 6], tp 2 cuts rows, dp_shard 2 cuts again; process tp 1, dp_shard 0 holds rows 4 and 5
    shape (8, 6)    offset (4, 0)    local [2, 6]    splits ((shard, tensor), ())
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Partial, Placement, Shard

from xmtf.parallel.topology.ranks import ALONE, Ranks

__all__ = ["Piece", "as_piece", "is_sharded"]


@dataclass(eq=False, slots=True)
class Piece:
    """This process's piece of one parameter.

    Attributes:
        name: Of the parameter, the same in every layout.
        shape: Of the whole parameter.
        offset: Of the piece in the whole, one number a dimension.
        local: What the optimizer updates; shares memory with ``source``.
        source: The model's parameter.
        splits: For each dimension, the groups of processes that it is cut over.
        copies: How many processes hold the same piece.
    """

    name: str
    shape: tuple[int, ...]
    offset: tuple[int, ...]
    local: nn.Parameter
    source: nn.Parameter
    splits: tuple[tuple[Ranks, ...], ...]
    copies: int = 1

    def take_gradient(self) -> bool:
        """Give ``local`` the gradient of a DTensor; zeros where there is none.

        Returns:
            Whether it is a share, still to be added up over ``tp``: that of a norm that sees this process's heads.
        """
        gradient = self.source.grad
        if isinstance(self.source, DTensor):
            self.local.grad = gradient.to_local() if isinstance(gradient, DTensor) else torch.zeros_like(self.local)
        return isinstance(gradient, DTensor) and any(isinstance(each, Partial) for each in gradient.placements)

    def add(self, tensor: Tensor, dimension: int | None = None) -> Tensor:
        """Add up a tensor, in place, over the processes that a dimension (default: any) is cut over."""
        dimensions = range(len(self.splits)) if dimension is None else (dimension,)
        for index in dimensions:
            for group in self.splits[index]:
                group.add(tensor)
        return tensor


def as_piece(
    name: str,
    parameter: nn.Parameter,
    shape: tuple[int, ...],
    *,
    tensor: Ranks = ALONE,
    shard: Ranks = ALONE,
) -> Piece:
    """Describe a parameter that is whole, sliced, sharded by FSDP2, or both.

    Args:
        name: Its name.
        parameter: Of the model; a DTensor where torch slices or shards it.
        shape: Of the whole.
        tensor: Processes that slice.
        shard: Processes that shard; counts for what FSDP2 shards alone.
    """
    offset = [0] * len(shape)
    splits: list[tuple[Ranks, ...]] = [()] * len(shape)
    slice_shape = list(shape)
    sliced = _sliced_dimension(parameter, shape)
    if sliced is not None:
        part = tensor.slice_of(shape[sliced])
        offset[sliced], slice_shape[sliced] = part.start, part.stop - part.start
        splits[sliced] = (tensor,)
    local = parameter
    if isinstance(parameter, DTensor):
        local = nn.Parameter(parameter.to_local().detach(), requires_grad=parameter.requires_grad)
    if is_sharded(parameter):
        offset[0] += shard.slice_of(slice_shape[0]).start
        splits[0] = (shard, *splits[0])
    return Piece(name, shape, tuple(offset), local, parameter, tuple(splits))


def is_sharded(parameter: Tensor) -> bool:
    """Return whether FSDP2 shards a parameter: then it also adds up its gradient over data-parallel processes."""
    return "dp_shard" in _placements(parameter)


def _sliced_dimension(parameter: Tensor, shape: tuple[int, ...]) -> int | None:
    """Return the dimension that a parameter is sliced along over ``tp``: torch's styles, or a table's own slice."""
    if isinstance(parameter, DTensor):
        placement = _placements(parameter).get("tp")
        return placement.dim if isinstance(placement, Shard) else None
    return next((index for index, length in enumerate(parameter.shape) if length != shape[index]), None)


def _placements(parameter: Tensor) -> dict[str, Placement]:
    """Return how a DTensor lies along each axis of its mesh."""
    if not isinstance(parameter, DTensor):
        return {}
    return dict(zip(parameter.device_mesh.mesh_dim_names or (), parameter.placements, strict=True))
