"""Slices of matrices over the processes of the ``tp`` axis (Shoeybi et al. 2019), as styles of torch's.

Attention heads and the inner units of a feed-forward are shared out: the first matrix of each pair loses output rows
(``colwise``), the second input columns (``rowwise``), and what the second gives is added up over the processes. Which
matrices these are is the model's ``tp_plan``. Their parameters are DTensors; the products are of plain tensors, because
torch infers, and keeps, what each operation of a DTensor gives for every shape, and packed documents have
another shape in each micro-batch: 4 ms an operation, and memory without end. Hidden states are whole on every process,
so sequences may have any length. The embedding and the head are sliced by vocabulary;
:class:`xmtf.training.loss.head.Head` never gathers logits.

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
from torch.distributed.tensor import DTensor, Partial, Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)
from torch.nn import functional

from xmtf.models.bloom import Bloom
from xmtf.models.hub.model import HubModel
from xmtf.models.layers.cut import know_whole_logits
from xmtf.models.layers.slicing import planned
from xmtf.models.layers.tied import SlicedEmbedding
from xmtf.models.lora import LoraLinear
from xmtf.models.mt5 import MT5
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.ranks import ALONE, Ranks

__all__ = ["added_up", "slice_model"]

_TORCHS: dict[str, Callable[[], ParallelStyle]] = {
    "colwise_gather_output": partial(ColwiseParallel, output_layouts=Replicate()),
    "rowwise_split_input": partial(RowwiseParallel, input_layouts=Replicate()),
    # a norm of each head: this process has some heads, so its weight's gradient is a share
    "replicated_with_grad_allreduce": partial(SequenceParallel, sequence_dim=2, use_local_output=True),
}
"""Name in a plan of transformers, whose rows have one shape -> torch's style."""


def slice_model(model: object, mesh: Mesh) -> None:
    """Keep this process's slices of a model's parameters, in place; the rest of the weights is let go.

    Args:
        model: BLOOM (or a part of one), mT5 or a causal model of transformers, whole.
        mesh: With a ``tp`` axis.
    """
    assert isinstance(model, Bloom | MT5 | HubModel)
    assert mesh.slices is not None
    tensor, entering = mesh.tensor, _Entering(mesh.tensor)
    ours = {
        "colwise": _Sliced(0, entering.read),
        "colwise_entered": _Sliced(0),
        "rowwise": _Sliced(1, entering.leave, tensor),
    }
    for _, module, name in planned(model, model.tp_plan):
        style = ours[name] if name in ours else _TORCHS[name]()
        trains = {key: parameter.requires_grad for key, parameter in module.named_parameters()}
        parallelize_module(module, mesh.slices, style, src_data_rank=None)  # every process has the weights
        for key, parameter in module.named_parameters():  # torch's style for norms would train frozen ones
            parameter.requires_grad_(trains[key])
    if isinstance(model, HubModel):
        _slice_hub_tables(model, tensor)
    elif isinstance(model, Bloom):
        heads = model.config.num_heads // tensor.size
        model.heads = slice(tensor.rank * heads, (tensor.rank + 1) * heads)
        if hasattr(model, "word_embeddings"):
            model.word_embeddings = _sliced_table(model.word_embeddings.weight, tensor)
    else:
        model.entering = partial(_entered, tensor=tensor)
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


class _Sliced(ParallelStyle):
    """A linear layer that is sliced along a dimension of its weight, with its adapter.

    Of an adapter ``B A`` the matrix that reads or writes the sliced side is sliced with it. The other is whole, and
    each process has a share of its gradient.

    Args:
        dimension: Of the weight: 0 gives some outputs from whole inputs, 1 whole outputs from some inputs.
        before: Called with the inputs; returns what is multiplied.
        adding: Processes whose outputs are added up.
    """

    def __init__(
        self, dimension: int, before: Callable[[Tensor], Tensor] = lambda inputs: inputs, adding: Ranks = ALONE
    ) -> None:
        self._dimension, self._before, self._adding = dimension, before, adding

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        placements: dict[str, Placement] = {"weight": Shard(self._dimension)}
        placements["bias"] = placements["lora_B"] = Replicate() if self._dimension else Shard(0)
        placements["lora_A"] = Shard(1) if self._dimension else Replicate()
        for name, whole in list(module.named_parameters(recurse=False)):
            sliced = distribute_tensor(whole, device_mesh, [placements[name]], src_data_rank=self.src_data_rank)
            module.register_parameter(name, nn.Parameter(sliced, requires_grad=whole.requires_grad))
        setattr(module, "forward", partial(self._forward, module))  # noqa: B010 - covers the method of its class
        return module

    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        weight, bias = (_local(getattr(module, name)) for name in ("weight", "bias"))
        inputs = self._before(inputs)
        output = functional.linear(inputs, weight, None if self._dimension else bias)
        if isinstance(module, LoraLinear):
            low = functional.linear(functional.dropout(inputs, module.dropout, module.training), _local(module.lora_A))
            output = output + functional.linear(low, _local(module.lora_B)) * module.scale
        if self._dimension == 0:
            return output
        output = added_up(output, self._adding)
        return output if bias is None else output + bias.to(output.dtype)


def _local(parameter: Tensor | None) -> Any:
    """Return what is held here; its gradient becomes that of the DTensor, of a whole matrix a share of it."""
    if not isinstance(parameter, DTensor):
        return parameter
    share = parameter.ndim > 1 and isinstance(parameter.placements[0], Replicate)
    return parameter.to_local(grad_placements=[Partial()] if share else None)


class _Entering:
    """What ``colwise`` matrices read, entered once for all that read the same: its gradient is added up once.

    Args:
        tensor: Processes of the ``tp`` axis.
    """

    def __init__(self, tensor: Ranks) -> None:
        self._tensor = tensor
        self._read: tuple[Tensor, Tensor] | None = None

    def read(self, hidden: Tensor) -> Tensor:
        """Before a ``colwise`` matrix: return what it reads."""
        if self._read is None or self._read[0] is not hidden:
            self._read = hidden, _entered(hidden, self._tensor)
        return self._read[1]

    def leave(self, inner: Tensor) -> Tensor:
        """Before the ``rowwise`` matrix behind them: forget what they read."""
        self._read = None
        return inner


def _entered(hidden: Tensor, tensor: Ranks) -> Tensor:
    """Return hidden states in the format of computation; in the backward pass their gradient is added up in it."""
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        hidden = hidden.to(torch.get_autocast_dtype(device))
    result: Tensor = _Copied.apply(hidden, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def added_up(part: Tensor, tensor: Ranks) -> Tensor:
    """Return the sum of a tensor over the processes; in the backward pass the gradient goes through as it is."""
    result: Tensor = _AddedUp.apply(part, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class _Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, tensor: Ranks) -> Tensor:
        ctx.tensor = tensor
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return ctx.tensor.add(gradients[0].clone(memory_format=torch.contiguous_format)), None


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
