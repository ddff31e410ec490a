"""Embeddings and heads whose optimizer is sharded: whole on every process while a step computes.

A vocabulary of 250,000 makes them most of a small model, and their gradients are added in place
(:mod:`xmtf.models.layers.tied`, :mod:`xmtf.training.loss.head`), which FSDP2's hooks would not see. So each
process of the ``dp_shard`` axis keeps weight and gradient whole, and the optimizer of its own rows
alone. A step sends each of them once, however many micro-batches it has: gradients are added up into
their owners' rows, and after the update every process gets all rows again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xmtf.parallel.pieces import Piece
from xmtf.parallel.topology.ranks import Ranks

__all__ = ["ShardedTable", "shard_table"]


@dataclass(eq=False, slots=True)
class ShardedTable:
    """One embedding or head.

    Attributes:
        weight: The model's parameter, ``[rows, H]``: a view of ``buffer``.
        buffer: ``[processes x rows of each, H]``; rows after the last are padding.
        piece: The rows whose optimizer is here.
        shard: Processes of the ``dp_shard`` axis.
    """

    weight: nn.Parameter
    buffer: Tensor
    piece: Piece
    shard: Ranks

    def scatter_gradient(self, replicate: Ranks) -> None:
        """Add up the gradient over all data-parallel processes, into the rows of their owners."""
        gradient = torch.zeros_like(self.weight) if self.weight.grad is None else self.weight.grad
        padding = len(self.buffer) - len(gradient)
        if padding:
            gradient = torch.cat([gradient, gradient.new_zeros(padding, gradient.shape[1])])
        rows = gradient.new_empty(len(self.buffer) // self.shard.size, gradient.shape[1])
        torch.distributed.reduce_scatter_tensor(rows, gradient, group=self.shard.group)
        self.piece.local.grad = replicate.add(rows)[: len(self.piece.local)]

    def gather(self) -> None:
        """Give every process the rows that the others have updated."""
        rows = self.buffer.chunk(self.shard.size)[self.shard.rank].clone()
        torch.distributed.all_gather_into_tensor(self.buffer, rows, group=self.shard.group)


def shard_table(piece: Piece, shard: Ranks) -> ShardedTable:
    """Shard the optimizer of a table.

    Args:
        piece: The table as this process holds it, before; ``source`` is given new memory where it has to be padded.
        shard: Processes of the ``dp_shard`` axis.
    """
    weight = piece.source
    buffer = weight.detach()
    padding = -len(weight) % shard.size
    if padding:
        buffer = torch.cat([buffer, buffer.new_zeros(padding, weight.shape[1])])
    weight.data = buffer[: len(weight)]
    rows = shard.slice_of(len(weight))
    local = nn.Parameter(buffer[rows], requires_grad=weight.requires_grad)
    offset = (piece.offset[0] + rows.start, piece.offset[1])
    splits = ((shard, *piece.splits[0]), piece.splits[1])
    own = Piece(piece.name, piece.shape, offset, local, weight, splits)
    return ShardedTable(weight, buffer, own, shard)
