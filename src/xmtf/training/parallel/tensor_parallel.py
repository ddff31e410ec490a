"""Slices of matrices over the processes of the ``tp`` axis (Shoeybi et al. 2019), by torch's styles.

Attention heads and the inner units of a feed-forward are shared out: the first matrix of each pair loses output rows
(``colwise``), the second input columns (``rowwise``), and what the second gives is added up over the processes. Which
matrices these are is the model's ``tp_plan``. Their parameters are DTensors, between them run plain tensors. Hidden
states are whole on every process, so sequences may have any length. The embedding and the head are sliced by
vocabulary; :class:`xmtf.training.loss.head.Head` never gathers logits.

::

    hidden -> entering -> [query key value of my heads] -> attention -> [my columns of dense] -> added up, with the bias
                              rows of the matrix                       columns of the matrix

Legend: H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from xmtf.models.bloom import Bloom
from xmtf.models.hub.model import HubModel
from xmtf.models.layers.cut import know_whole_logits
from xmtf.models.layers.slicing import SLICED_ALONG, planned
from xmtf.models.layers.tied import SlicedEmbedding
from xmtf.models.mt5 import MT5
from xmtf.training.topology.mesh import Mesh
from xmtf.training.topology.ranks import Ranks

__all__ = ["added_up", "slice_model"]

_STYLES: dict[str, Callable[[], ParallelStyle]] = {
    "colwise": ColwiseParallel,
    "colwise_gather_output": partial(ColwiseParallel, output_layouts=Replicate()),
    "rowwise": RowwiseParallel,
    "rowwise_split_input": partial(RowwiseParallel, input_layouts=Replicate()),
    # a norm of each head: this process has some heads, so its weight's gradient is a share
    "replicated_with_grad_allreduce": partial(SequenceParallel, sequence_dim=2, use_local_output=True),
}
"""Name in a plan -> torch's style."""


def slice_model(model: object, mesh: Mesh) -> None:
    """Keep this process's slices of a model's parameters, in place; the rest of the weights is let go.

    Args:
        model: BLOOM (or a part of one), mT5 or a causal model of transformers, whole.
        mesh: With a ``tp`` axis.
    """
    assert isinstance(model, Bloom | MT5 | HubModel)
    assert mesh.slices is not None
    tensor, entering = mesh.tensor, _Entering(mesh.slices)
    for _, module, style in planned(model, model.tp_plan):
        if SLICED_ALONG[style] is not None:
            module.register_forward_pre_hook(entering.read if SLICED_ALONG[style] == 0 else entering.leave)
        parallelize_module(module, mesh.slices, _STYLES[style](), src_data_rank=None)  # every process has the weights
    if isinstance(model, HubModel):
        _slice_hub_tables(model, tensor)
    elif isinstance(model, Bloom):
        heads = model.config.num_heads // tensor.size
        model.heads = slice(tensor.rank * heads, (tensor.rank + 1) * heads)
        if hasattr(model, "word_embeddings"):
            model.word_embeddings = _sliced_table(model.word_embeddings.weight, tensor)
    else:
        model.entering = partial(_entered, mesh=mesh.slices)
        for stack in (model.encoder, model.decoder):
            stack.relative_bias.weight = _cut(stack.relative_bias.weight, tensor, 1)
        model.shared = _sliced_table(model.shared.weight, tensor)
        if model.config.tied:
            model.lm_head.weight = model.shared.weight
        else:
            model.lm_head.weight = _cut(model.lm_head.weight, tensor, 0)
    if not isinstance(model, Bloom) or model.last:
        rows = tensor.slice_of(model.vocab_size)
        know_whole_logits(model, model.logits, rows, model.vocab_size, tensor.add)


def _slice_hub_tables(model: HubModel, tensor: Ranks) -> None:
    table, linear = _sliced_table(model.network.get_input_embeddings().weight, tensor), model.head.linear
    tied = linear.weight is model.network.get_input_embeddings().weight
    model.network.set_input_embeddings(table)
    linear.weight = table.weight if tied else _cut(linear.weight, tensor, 0)


class _Entering:
    """Makes a DTensor of what ``colwise`` matrices read, one for all that read the same: its gradient is added up once.

    Torch's style alone would make one for each of query, key and value, and add up three gradients.

    Args:
        mesh: The ``tp`` axis.
    """

    def __init__(self, mesh: DeviceMesh) -> None:
        self._mesh = mesh
        self._read: tuple[Tensor, Tensor] | None = None

    def read(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Before a ``colwise`` matrix: return its inputs as one DTensor and the rest."""
        hidden, *others = inputs
        if not isinstance(hidden, DTensor):
            if self._read is None or self._read[0] is not hidden:
                self._read = hidden, _entered(hidden, self._mesh)
            hidden = self._read[1]
        return (hidden, *others)

    def leave(self, *_: object) -> None:
        """Before the ``rowwise`` matrix behind them: forget what they read."""
        self._read = None


def _entered(hidden: Tensor, mesh: DeviceMesh) -> Tensor:
    """Return hidden states as a DTensor that is whole everywhere; gradients travel in the format of computation."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        hidden = hidden.to(torch.get_autocast_dtype(device))
    entered: Tensor = DTensor.from_local(hidden, mesh, [Replicate()], run_check=False)
    return entered


def added_up(part: Tensor, tensor: Ranks) -> Tensor:
    """Return the sum of a tensor over the processes; in the backward pass the gradient goes through as it is."""
    result: Tensor = _AddedUp.apply(part, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class _AddedUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, part: Tensor, tensor: Ranks) -> Tensor:
        return tensor.add(part.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Any:
        return gradients[0], None


def _cut(weight: Tensor, tensor: Ranks, dimension: int) -> nn.Parameter:
    part = tensor.slice_of(weight.shape[dimension])
    kept = weight.detach().narrow(dimension, part.start, part.stop - part.start).clone()
    return nn.Parameter(kept, requires_grad=weight.requires_grad)


def _sliced_table(weight_VH: Tensor, tensor: Ranks) -> SlicedEmbedding:
    first = tensor.slice_of(len(weight_VH)).start
    return SlicedEmbedding(_cut(weight_VH, tensor, 0), first, lambda part: added_up(part, tensor))
