"""A model cut over processes that only read it: slices (``tp``), pipeline stages (``pp``), no gradients.

::

    model on the meta device ─▶ stages ─▶ slices ─▶ memory, numbers of this process alone ─▶ what suites ask

Every process of a copy asks the same, in the same order, and finds the numbers of one that has the whole model.
"""

from __future__ import annotations

from typing import Any

import torch

from xmtf.errors import ConfigError
from xmtf.models.finite import require_finite_tensors
from xmtf.models.hub.model import HubModel
from xmtf.models.layers.cut import keep_whole
from xmtf.models.layers.staged import StagedModel
from xmtf.parallel.materialize import CutModel, Weights, place_pieces
from xmtf.parallel.stages import own_stages
from xmtf.parallel.tensor_parallel import slice_model
from xmtf.parallel.topology.constraints import reading_fault
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.parallel_dims import AXES, ParallelDims

__all__ = ["as_reader", "check_reading", "cut_to_read", "parts_to_read", "place_to_read"]


def check_reading(model: object, dims: ParallelDims, label: str) -> None:
    """Refuse a layout that a model cannot be read under.

    Args:
        model: Whole, on any device, ``meta`` too.
        dims: The layout.
        label: What errors call the model.

    Raises:
        ConfigError: Names the axis and what does not fit.
    """
    fault = reading_fault(model, dims)
    if fault is not None:
        raise ConfigError(f"{fault} ({label})")


def cut_to_read(
    model: Any, dtype: torch.dtype, mesh: Mesh, device: torch.device, weights: Weights | None, label: str
) -> Any:
    """Keep what this process holds of a model, in place, on its device; return what is asked in its stead.

    Args:
        model: Whole, in evaluation mode: on the meta device, or with its numbers.
        dtype: What parameters are converted to; buffers, which models compute for themselves, stay as they are.
        mesh: The processes.
        device: Where this process computes.
        weights: What parameters on the meta device are filled from.
        label: What errors call the model.

    Raises:
        DataError: Weights that are read here are not finite.
    """
    return place_to_read(parts_to_read(model, dtype, mesh), mesh, device, weights, label)


@torch.no_grad()
def parts_to_read(model: Any, dtype: torch.dtype, mesh: Mesh) -> CutModel:
    """Cut a model where it is, in place; arguments as for :func:`cut_to_read`."""
    assert {axis for axis in AXES if getattr(mesh.dims, axis) > 1} <= {"pp", "dp_replicate", "tp"}
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    empty = frozenset(name for name, parameter in model.named_parameters() if parameter.is_meta)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
        parameter.requires_grad_(False)
    parts = own_stages(model, 1, mesh.pipe) if mesh.pipe.size > 1 else [model]
    for part in parts:
        if mesh.tensor.size > 1:
            slice_model(part, mesh)
    return CutModel(parts, shapes, empty)


@torch.no_grad()
def place_to_read(
    cut: CutModel, mesh: Mesh, device: torch.device, weights: Weights | None = None, label: str = ""
) -> Any:
    """Give what was cut its memory and numbers; arguments as for :func:`cut_to_read`, without weights no numbers."""
    parts = cut.parts
    pieces = place_pieces(parts, cut.shapes, cut.empty, mesh, device, weights)
    if weights is not None:
        require_finite_tensors({name: piece.local for name, piece in pieces.items()}, label)
    for part in parts:
        if isinstance(part, HubModel) and weights is not None:
            part.check_head()
        keep_whole(part)
    return as_reader(parts, mesh)


def as_reader(parts: list[Any], mesh: Mesh) -> Any:
    """Return what is asked in a model's stead, of which this process holds some parts."""
    return parts[0] if mesh.pipe.size == 1 else StagedModel(parts, mesh.pipe.rank, mesh.pipe.size, mesh.pipe.give)
