"""Slices of matrices over the processes of the ``tp`` axis (Shoeybi et al. 2019), as styles of torch's.

Attention heads and the inner units of a feed-forward are shared out: the first matrix of each pair loses output rows
(``colwise``), the second input columns (``rowwise``), and what the second gives is added up over the processes. Which
matrices these are is the model's ``tp_plan``. Their parameters are DTensors; the products are of plain tensors, because
torch infers, and keeps, what each operation of a DTensor gives for every shape, and packed documents have
another shape in each micro-batch: 4 ms an operation, and memory without end. In training positions between sliced
matrices are shared (:mod:`xmtf.parallel.sequence`); elsewhere, and in models whose plans do not allow it, every process
has all of them. The embedding and the head are sliced by vocabulary;
:class:`xmtf.training.loss.head.Head` never gathers logits.

::

    hidden -> gathered -> [query key value of my heads] -> attention -> [my columns of dense] -> added up, with the bias
                              rows of the matrix                       columns of the matrix

Legend: H hidden size, V vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

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

from xmtf.errors import ConfigError
from xmtf.models.bloom import Bloom
from xmtf.models.hub.model import HubModel
from xmtf.models.layers.cut import OwnVocabulary, know_whole_logits
from xmtf.models.layers.slicing import planned
from xmtf.models.layers.tied import SlicedEmbedding
from xmtf.models.lora import LoraLinear
from xmtf.models.mt5 import MT5
from xmtf.parallel.casts import StepCasts
from xmtf.parallel.sequence import Gathered, added_up_own, cast_to_compute, gathered, own_positions, shares_of
from xmtf.parallel.topology.mesh import Mesh
from xmtf.parallel.topology.ranks import Ranks

__all__ = ["added_up", "slice_model"]

_TORCHS: dict[str, Callable[[], ParallelStyle]] = {
    "colwise_gather_output": partial(ColwiseParallel, output_layouts=Replicate()),
    "rowwise_split_input": partial(RowwiseParallel, input_layouts=Replicate()),
    # a norm of each head: this process has some heads, so its weight's gradient is a share
    "replicated_with_grad_allreduce": partial(SequenceParallel, sequence_dim=2, use_local_output=True),
}
"""Name in a plan of transformers, whose rows have one shape -> torch's style."""


def slice_model(model: object, mesh: Mesh) -> StepCasts:
    """Keep this process's slices of a model's parameters, in place; the rest of the weights is let go.

    Return the copies of slices that its forward passes make, which each step has to forget.

    Args:
        model: BLOOM (or a part of one), mT5 or a causal model of transformers, whole.
        mesh: With a ``tp`` axis.
    """
    assert isinstance(model, Bloom | MT5 | HubModel)
    assert mesh.slices is not None
    tensor = mesh.tensor
    shared = Shared(tensor, model.shares_positions)
    casts = StepCasts()
    ours = {
        "colwise": _Columns(casts, shared),
        "colwise_entered": _Columns(casts, None),
        "rowwise": _Rows(casts, shared),
    }
    if model.shares_positions:
        model.shares = shares_of(tensor)
        if isinstance(model, HubModel):
            _share_blocks(model, shared)
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
            model.word_embeddings = _sliced_table(model.word_embeddings.weight, shared, model.training)
    else:
        for stack in (model.encoder, model.decoder):
            stack.relative_bias.weight = _cut(stack.relative_bias.weight, tensor, 1)
        model.shared = _sliced_table(model.shared.weight, shared, model.training)
        if model.config.tied:
            model.lm_head.weight = model.shared.weight
        else:
            model.lm_head.weight = _cut(model.lm_head.weight, tensor, 0)
    if isinstance(model, MT5) or model.last:
        rows = tensor.slice_of(model.vocab_size)
        know_whole_logits(model, OwnVocabulary(model.logits, rows, tensor.add, tensor.most), model.vocab_size)
    return casts


def _slice_hub_tables(model: HubModel, tensor: Ranks) -> None:
    embedding = model.network.get_input_embeddings()
    if embedding is not None:
        # embedded tokens are whole: what the network does with them before its first block is its own
        table = _sliced_table(embedding.weight, Shared(tensor, False), model.training)
        model.network.set_input_embeddings(table)
    if model.last:
        linear = model.head.linear
        linear.weight = table.weight if model.tied else _cut(linear.weight, tensor, 0)


def _share_blocks(model: HubModel, shared: Shared) -> None:
    """Let blocks of transformers' own begin with this process's positions, and their parts read all of them."""

    def hook(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        def changed(module: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
            if not module.training:
                return None
            if arguments:
                return (change(arguments[0]), *arguments[1:]), keywords
            return arguments, keywords | {"hidden_states": change(keywords["hidden_states"])}

        return changed

    if model.first:  # the others are sent their own
        begin = hook(lambda hidden: own_positions(hidden, shared.tensor))
        model.blocks[0].register_forward_pre_hook(begin, with_kwargs=True)
    for part in model.slicing_parts():
        part.register_forward_pre_hook(hook(lambda hidden: shared.enter(hidden, training=True).whole), with_kwargs=True)
    shared.by_part = True


@dataclass(slots=True)
class _Whole:
    """What matrices read as all processes have it: the sum of its gradient is taken once."""

    whole: Tensor

    def product(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.linear(self.whole, weight, bias)


@dataclass(slots=True)
class Shared:
    """What is between sliced matrices: positions that are shared in training, or all of them in every process.

    Attributes:
        tensor: Processes of the ``tp`` axis.
        positions: Whether positions are shared in training.
        by_part: Whether whole attentions and feed-forwards enter, and not their matrices.
    """

    tensor: Ranks
    positions: bool
    by_part: bool = False
    _read: tuple[Tensor, Gathered | _Whole] | None = None

    def read(self, hidden: Tensor, *, training: bool) -> Gathered | _Whole:
        """Before a ``colwise`` matrix: return what it reads, entered once for all that read the same.

        Raises:
            ConfigError: Positions are shared, and the matrix reads something other than its module was given.
        """
        if self._read is not None and (hidden is self._read[0] or hidden is self._read[1].whole):
            return self._read[1]
        if self.by_part and training:
            raise ConfigError(
                "training.parallel.tp: a matrix of this model reads something other than its attention or feed-forward "
                "is given, and its slices share positions; set tp to 1 and raise dp_shard"
            )
        return self.enter(hidden, training=training)

    def enter(self, hidden: Tensor, *, training: bool) -> Gathered | _Whole:
        """Return what matrices read of hidden states, in the format of computation, and remember it."""
        cast, shared = cast_to_compute(hidden), self.positions and training
        entered = Gathered(cast, self.tensor) if shared else _Whole(_entered(cast, self.tensor))
        self._read = hidden, entered
        return entered

    def leave(self) -> None:
        """Before the ``rowwise`` matrix behind them: forget what they read."""
        self._read = None

    def add_up(self, part: Tensor, *, training: bool) -> Tensor:
        """Add up over the processes; where positions are shared, return this process's own."""
        return (added_up_own if self.positions and training else added_up)(part, self.tensor)


class _Sliced(ParallelStyle):
    """A linear layer that is sliced along a dimension of its weight, with its adapter.

    Of an adapter ``B A`` the matrix that reads or writes the sliced side is sliced with it. The other is whole, and
    each process has a share of its gradient.

    Args:
        casts: Copies of matrices in the number format of computation.

    Attributes:
        placements: Of the parameters by name.
    """

    placements: ClassVar[dict[str, Placement]]

    def __init__(self, casts: StepCasts) -> None:
        self._casts = casts

    def _apply(self, module: nn.Module, device_mesh: DeviceMesh) -> nn.Module:
        for name, whole in list(module.named_parameters(recurse=False)):
            placed = [self.placements[name]]
            sliced = distribute_tensor(whole, device_mesh, placed, src_data_rank=self.src_data_rank)
            module.register_parameter(name, nn.Parameter(sliced, requires_grad=whole.requires_grad))
        setattr(module, "forward", partial(self._forward, module))  # noqa: B010 - covers the method of its class
        return module

    @abstractmethod
    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """Return the layer's output."""

    def _local(self, module: nn.Module, name: str) -> Any:
        """Return what is held here; its gradient becomes that of the DTensor, of a whole matrix a share of it."""
        parameter = getattr(module, name)
        if not isinstance(parameter, DTensor):
            return parameter
        if parameter.ndim == 1:
            return parameter.to_local()
        share = isinstance(parameter.placements[0], Replicate)
        return self._casts.cast(parameter, parameter.to_local(grad_placements=[Partial()] if share else None))


class _Columns(_Sliced):
    """Some outputs from whole inputs.

    Args:
        casts: See :class:`_Sliced`.
        shared: What is read; None where the inputs are read as they are.
    """

    placements: ClassVar[dict[str, Placement]] = {
        "weight": Shard(0), "bias": Shard(0), "lora_A": Replicate(), "lora_B": Shard(0),
    }  # fmt: skip

    def __init__(self, casts: StepCasts, shared: Shared | None) -> None:
        super().__init__(casts)
        self._shared = shared

    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        read = _Whole(inputs) if self._shared is None else self._shared.read(inputs, training=module.training)
        output = read.product(self._local(module, "weight"), self._local(module, "bias"))
        if not isinstance(module, LoraLinear):
            return output
        # an adapter computes its few numbers of own positions: these are gathered, not its inputs
        own = read.own if isinstance(read, Gathered) else read.whole
        low = module.narrow(own, self._local(module, "lora_A"))
        if isinstance(read, Gathered):
            low = gathered(low, read.tensor)
        return module.add_to(output, low, self._local(module, "lora_B"))


class _Rows(_Sliced):
    """Whole outputs from some inputs.

    Args:
        casts: See :class:`_Sliced`.
        shared: What the outputs go to.
    """

    placements: ClassVar[dict[str, Placement]] = {
        "weight": Shard(1), "bias": Replicate(), "lora_A": Shard(1), "lora_B": Replicate(),
    }  # fmt: skip

    def __init__(self, casts: StepCasts, shared: Shared) -> None:
        super().__init__(casts)
        self._shared = shared

    def _forward(self, module: nn.Module, inputs: Tensor) -> Tensor:
        self._shared.leave()
        output = functional.linear(inputs, self._local(module, "weight"))
        if isinstance(module, LoraLinear):
            output = module.add_to(
                output, module.narrow(inputs, self._local(module, "lora_A")), self._local(module, "lora_B")
            )
        output, bias = self._shared.add_up(output, training=module.training), self._local(module, "bias")
        return output if bias is None else output + bias.to(output.dtype)


def _entered(hidden: Tensor, tensor: Ranks) -> Tensor:
    """Return hidden states; in the backward pass their gradient is added up."""
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


def _sliced_table(weight_VH: Tensor, shared: Shared, training: bool) -> SlicedEmbedding:
    first = shared.tensor.slice_of(len(weight_VH)).start
    table = SlicedEmbedding(_cut(weight_VH, shared.tensor, 0), first, lambda part: part).train(training)
    table.add_up = lambda part: shared.add_up(part, training=table.training)
    return table
