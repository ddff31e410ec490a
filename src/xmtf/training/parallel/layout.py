"""A model cut over the processes of a mesh, and what a step has to exchange because of it.

Order: pipeline stages, slices (``tp``), shards (``dp_shard``). What FSDP2 shards are the matrices of the
blocks; the embedding and the head are :mod:`xmtf.training.parallel.sharded_tables`; vectors are whole on every process,
in fp32, because together they are a thousandth of a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from xmtf.models.bloom import Bloom
from xmtf.models.hub.encoder_decoder import HubEncoderDecoder
from xmtf.models.hub.model import HubModel
from xmtf.models.hub.stages import Elsewhere
from xmtf.models.mt5 import MT5
from xmtf.models.torch_private import foreach_norm
from xmtf.parallel.casts import StepCasts
from xmtf.parallel.materialize import CutModel, Weights, place_pieces
from xmtf.parallel.pieces import Piece, is_sharded
from xmtf.parallel.stages import own_stages
from xmtf.parallel.tensor_parallel import slice_model
from xmtf.parallel.topology.constraints import check_constraints
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.ranks import Ranks
from xmtf.recipe.schema import Training
from xmtf.training.parallel.early_sums import EarlySums
from xmtf.training.parallel.sharded_tables import ShardedTable, shard_table
from xmtf.training.parallel.zero import add_up_gradients, before_backward, keep_gathered

__all__ = ["Layout", "blocks_of", "clear_gradients", "cut_model", "cut_parts", "place_parts"]

_SMALL = 2**16
"""Tensors of at most so many numbers are sent together: each alone would cost a message's latency."""


@dataclass(slots=True)
class Layout:
    """What this process holds of a model.

    Attributes:
        mesh: The processes.
        parts: Pipeline stages of this process, in order; the whole model where there is one stage.
        pieces: Name -> piece of every parameter that is held here.
        tables: Embeddings and heads with sharded optimizers.
        tied: The embedding that is also the head, where the two are in different stages, else None.
        zero: What ``dp_shard`` shards, as in the recipe: 3 or 1.
        early: Sums that begin within the last backward pass, where processes are replicas of each other and no more.
        casts: Copies of slices in the number format of computation, by part.
    """

    mesh: Mesh
    parts: list[Any]
    pieces: dict[str, Piece]
    tables: list[ShardedTable] = field(default_factory=list)
    tied: Tensor | None = None
    zero: int = 3
    early: EarlySums | None = None
    casts: list[StepCasts] = field(default_factory=list)

    @property
    def model(self) -> Any:
        """The whole model, or this process's part of it, as a module."""
        return self.parts[0] if len(self.parts) == 1 else nn.ModuleList(self.parts)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return what the optimizer updates, by the names of the whole model."""
        for name, piece in self.pieces.items():
            yield name, piece.local

    @property
    def sharding(self) -> dict[Tensor, Piece]:
        """Pieces by what the optimizer updates, of those that are not whole."""
        return {piece.local: piece for piece in self.pieces.values() if any(piece.splits)}

    @property
    def shares_positions(self) -> bool:
        """Whether tensor-parallel processes share positions: then what is whole has a share of its gradient in each."""
        return any(part.shares.num > 1 for part in self.parts) if self.mesh.tensor.size > 1 else False

    @property
    def mask_rank(self) -> int:
        """Number that differs wherever dropout has to: between rows, stages and shared positions.

        Between slices that compute whole activations it does not.
        """
        mesh = self.mesh
        rank = mesh.data.rank * mesh.pipe.size + mesh.pipe.rank
        return rank * mesh.tensor.size + mesh.tensor.rank if self.shares_positions else rank

    def start_step(self) -> None:
        """Begin a step: forget all gradients; with ``zero`` 1 what is gathered stays until its last backward pass."""
        self.clear_gradients()
        self._keep_gathered(self.zero == 1)

    def before_backward(self, last: bool) -> None:
        """Set before a micro-batch whether it is the last of its step; a pipeline's stages say so themselves."""
        for part in self.parts:
            before_backward(part, self.zero, last=last)
        if self.early is not None:
            self.early.before_backward(last)

    def reduce_gradients(self) -> None:
        """Add up gradients over everything that computed a share of them, into what the optimizer updates."""
        if self.mesh.world.size == 1:
            return
        for casts in self.casts:
            casts.forget()
        self._keep_gathered(False)
        if self.early is not None:
            self.early.finish()
        # The tied table lies on the first and on the last stage: each has half of its gradient.
        if self.tied is not None and self.tied.requires_grad:
            self.mesh.ends.add(_gradient(self.tied))
        tables = {table.weight for table in self.tables}
        trained = [piece for piece in self.pieces.values() if piece.source.requires_grad]
        shares = [piece.local for piece in trained if piece.take_gradient() or self._computes_share(piece)]
        _add_all([_gradient(parameter) for parameter in shares], self.mesh.tensor)
        summed = tables if self.early is None else tables | self.early.parameters
        whole = [piece.local for piece in trained if not is_sharded(piece.source) and piece.source not in summed]
        _add_all([_gradient(parameter) for parameter in whole], self.mesh.data)
        for table in self.tables:
            table.scatter_gradient(self.mesh.replicate)

    def _computes_share(self, piece: Piece) -> bool:
        """Return whether this process's gradient is that of its own positions; FSDP2 adds up what it shards."""
        sliced = any(self.mesh.tensor in groups for groups in piece.splits)
        return self.shares_positions and not sliced and not is_sharded(piece.source)

    def _keep_gathered(self, keep: bool) -> None:
        for part in self.parts if self.zero == 1 else ():
            keep_gathered(part, keep)

    def gradients(self) -> list[Tensor]:
        """Return the gradients that the optimizer takes."""
        return [piece.local.grad for piece in self.pieces.values() if piece.local.grad is not None]

    def gradient_norm(self) -> Tensor:
        """Return the norm of the whole gradient, over all processes; in fp32 whatever the gradients are in."""
        norms: tuple[Tensor, ...] = foreach_norm(self.gradients(), 2.0, torch.float32)
        if not self.mesh.dims.splits:
            norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
            return norm
        # What several processes hold would be counted once by each.
        copies = [piece.copies for piece in self.pieces.values() if piece.local.grad is not None]
        squares = [each.square() / count for each, count in zip(norms, copies, strict=True)]
        return self.mesh.world.add(torch.stack(squares).sum()).sqrt()

    def after_update(self) -> None:
        """Give every process what the others have updated and it needs whole."""
        for table in self.tables:
            table.gather()

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for piece in self.pieces.values():
            if piece.local is not piece.source:
                piece.local.grad = None
        clear_gradients(piece.source for piece in self.pieces.values())


def cut_model(
    model: Any, training: Training, mesh: Mesh, device: torch.device, weights: Weights | None = None
) -> Layout:
    """Keep what this process holds of a model, in place, on its device.

    Args:
        model: The whole model in its number format: on the CPU, or parameters of it on the meta device.
        training: Section of the recipe.
        mesh: The processes.
        device: Where this process computes.
        weights: What parameters on the meta device are filled from, once they are cut.

    Raises:
        ConfigError: The model does not fit the layout.
    """
    return place_parts(cut_parts(model, training, mesh), training, mesh, device, weights)


def cut_parts(model: Any, training: Training, mesh: Mesh) -> CutModel:
    """Keep what this process holds of a model, in place, where it is; arguments as for :func:`cut_model`.

    Cuts come before memory: a process never holds more of the model than its own pieces.
    """
    check_constraints(model, training, mesh.dims)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    empty = frozenset(name for name, parameter in model.named_parameters() if parameter.is_meta)
    parts = _stages(model, training, mesh) if mesh.pipe.size > 1 else [model]
    casts = []
    for part in parts:
        if mesh.tensor.size > 1:
            casts.append(slice_model(part, mesh))
        if mesh.fsdp is not None:
            _shard_blocks(part, training, mesh)
    return CutModel(parts, shapes, empty, casts)


def place_parts(
    cut: CutModel, training: Training, mesh: Mesh, device: torch.device, weights: Weights | None = None
) -> Layout:
    """Give what was cut its memory and numbers; arguments as for :func:`cut_model`."""
    parts = cut.parts
    pieces = place_pieces(parts, cut.shapes, cut.empty, mesh, device, weights)
    tables = []
    if mesh.fsdp is not None:
        for name in _table_names(parts, pieces):
            tables.append(shard_table(pieces[name], mesh.shard))
            pieces[name] = tables[-1].piece
    # Counted last: sharding a table changes how many processes hold each of its rows.
    tied = _tied(parts) if mesh.pipe.size > 1 else None
    for piece in pieces.values():
        processes = mesh.world.size // mesh.pipe.size * (2 if piece.source is tied else 1)
        piece.copies = processes // prod(group.size for groups in piece.splits for group in groups)
    return Layout(mesh, parts, pieces, tables, tied, training.parallel.zero or 3, _early_sums(parts, mesh), cut.casts)


def _early_sums(parts: list[Any], mesh: Mesh) -> EarlySums | None:
    """Return sums of the blocks' matrices where processes are replicas; elsewhere FSDP2 sends, or stages take turns."""
    if mesh.data.size == 1 or mesh.fsdp is not None or mesh.pipe.size * mesh.tensor.size > 1:
        return None
    matrices = [each for block in blocks_of(parts[0]) for each in block.parameters() if each.numel() > _SMALL]
    return EarlySums([each for each in matrices if each.requires_grad], mesh.data)


def _stages(model: Any, training: Training, mesh: Mesh) -> list[Any]:
    return list(own_stages(model, training.parallel.stages_each, mesh.pipe))


def _tied(parts: list[Any]) -> Tensor | None:
    return next((table for part in parts if part.tied for table in part.tables()), None)


def blocks_of(model: Any) -> list[nn.Module]:
    """Return the transformer blocks of a model, or of a pipeline stage."""
    if isinstance(model, Bloom):
        return [block for _, block in model.blocks()]
    if isinstance(model, MT5):
        return [*model.encoder.blocks, *model.decoder.blocks]
    network = model.network
    stacks = [network.get_encoder(), network.get_decoder()] if isinstance(model, HubEncoderDecoder) else [network]
    blocks = [block for stack in stacks for block in _longest_list(stack)]
    return [block for block in blocks if not isinstance(block, Elsewhere)]


def _longest_list(stack: nn.Module) -> list[nn.Module]:
    lists = [list(module) for module in stack.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda modules: len(modules), default=[])


def _shard_blocks(model: Any, training: Training, mesh: Mesh) -> None:
    policy = MixedPrecisionPolicy()
    if training.precision == "bf16":
        policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    for block in blocks_of(model):
        vectors = {parameter for parameter in block.parameters() if parameter.ndim < 2}
        fully_shard(block, mesh=mesh.fsdp, mp_policy=policy, ignored_params=vectors)
    others = {parameter for parameter in model.parameters() if not is_sharded(parameter)}
    fully_shard(model, mesh=mesh.fsdp, mp_policy=policy, ignored_params=others)
    add_up_gradients(model)
    for method in ("hidden_states", "encode", "decode", "check_head"):
        if hasattr(model, method):
            register_fsdp_forward_method(model, method)


def _table_names(parts: list[Any], pieces: dict[str, Piece]) -> list[str]:
    weights: set[int] = set()
    for part in parts:
        if isinstance(part, Bloom | HubModel):
            weights |= {id(table) for table in part.tables()}
        elif isinstance(part, MT5):
            weights |= {id(part.shared.weight), id(part.lm_head.weight)}
        else:
            weights |= {id(part.network.get_input_embeddings().weight), id(part.head.linear.weight)}
    return [name for name, piece in pieces.items() if id(piece.source) in weights and piece.source.requires_grad]


def clear_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Forget all gradients; the buffers of embeddings and heads are kept and set to zero, because they are added to."""
    for parameter in parameters:
        if parameter.grad is not None and not isinstance(parameter, DTensor) and _is_large(parameter):
            parameter.grad.zero_()
        else:
            parameter.grad = None


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _add_all(tensors: list[Tensor], ranks: Ranks) -> None:
    """Add up tensors over processes, in place; small ones of a kind travel together."""
    if ranks.size == 1:
        return
    # A message costs about the same up to _SMALL numbers, and a model has hundreds of vectors.
    small: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.numel() > _SMALL:
            ranks.add(tensor)
        else:
            small.setdefault(tensor.dtype, []).append(tensor)
    for together in small.values():
        sums = ranks.add(torch.cat([tensor.flatten() for tensor in together]))
        for tensor, part in zip(together, torch.split(sums, [tensor.numel() for tensor in together]), strict=True):
            tensor.copy_(part.view_as(tensor))


def _is_large(parameter: Tensor) -> bool:
    """Return whether a matrix has so many rows that it is an embedding or a head, whose gradient buffer is kept."""
    return bool(parameter.ndim == 2 and parameter.shape[0] >= 8 * parameter.shape[1])
