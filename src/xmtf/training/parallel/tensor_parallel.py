"""Slices of matrices over the processes of the ``tp`` axis (Shoeybi et al. 2019).

Attention heads and the inner units of a feed-forward are shared out: the first matrix of each pair
loses output rows, the second input columns, and what the second gives is added up over the processes.
Hidden states are whole on every process, so sequences may have any length. The embedding and the head
are sliced by vocabulary; :class:`xmtf.training.loss.head.Head` never gathers logits.

::

    hidden -> copied -> [query key value of my heads] -> attention -> [my columns of dense] -> added up + bias
                              rows of the matrix                       columns of the matrix

Legend: H hidden size, V vocabulary.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.models.bloom import Bloom
from xmtf.models.layers.cut import know_whole_logits
from xmtf.models.layers.tied import SlicedEmbedding
from xmtf.models.mt5 import MT5
from xmtf.training.topology.ranks import Ranks

__all__ = ["added_up", "copied", "slice_model", "sliced_dimension"]

_ROWS = ("query_key_value", "dense_h_to_4h", "q", "k", "v", "wi_0", "wi_1")
_COLUMNS = ("dense", "dense_4h_to_h", "o", "wo")
_TABLES = ("word_embeddings", "shared", "lm_head")


def sliced_dimension(name: str) -> int | None:
    """Return the dimension that a parameter of BLOOM or mT5 is sliced along, or None.

    >>> sliced_dimension("h.0.mlp.dense_h_to_4h.bias"), sliced_dimension("h.0.mlp.dense_4h_to_h.weight")
    (0, 1)
    >>> sliced_dimension("h.0.mlp.dense_4h_to_h.bias") is None
    True
    """
    *_, module, kind = name.split(".")
    if module in _ROWS or module in _TABLES:
        return 0
    if kind == "weight" and module in (*_COLUMNS, "relative_bias"):
        return 1
    return None


def slice_model(model: object, tensor: Ranks) -> None:
    """Keep this process's slices of a model's parameters, in place; the rest of the weights is let go.

    Args:
        model: BLOOM (or a part of one) or mT5, whole.
        tensor: Processes of the ``tp`` axis.
    """
    assert isinstance(model, Bloom | MT5)
    for path, module in list(model.named_modules()):
        name = path.rpartition(".")[2]
        if name in _ROWS and isinstance(module, nn.Linear):
            _replace(model, path, _RowSlice(module, tensor))
        elif name in _COLUMNS and isinstance(module, nn.Linear):
            _replace(model, path, _ColumnSlice(module, tensor))
        elif name == "relative_bias":
            module.weight = _cut(module.weight, tensor, 1)
    for module in model.modules():
        if hasattr(module, "entering"):
            setattr(module, "entering", partial(copied, tensor=tensor))  # noqa: B010 - not every module has one
    heads = model.config.num_heads // tensor.size
    if isinstance(model, Bloom):
        model.heads = slice(tensor.rank * heads, (tensor.rank + 1) * heads)
        if hasattr(model, "word_embeddings"):
            model.word_embeddings = _sliced_table(model.word_embeddings.weight, tensor)
    else:
        model.shared = _sliced_table(model.shared.weight, tensor)
        if model.config.tied:
            model.lm_head.weight = model.shared.weight
        else:
            model.lm_head.weight = _cut(model.lm_head.weight, tensor, 0)
    if not isinstance(model, Bloom) or model.last:
        rows = tensor.slice_of(model.vocab_size)
        know_whole_logits(model, model.logits, rows, model.vocab_size, tensor.add)


class _RowSlice(nn.Module):
    """Some outputs of a linear layer, computed from whole inputs: a model's ``entering`` adds up their gradients."""

    def __init__(self, linear: nn.Linear, tensor: Ranks) -> None:
        super().__init__()
        self.weight = _cut(linear.weight, tensor, 0)
        self.bias = None if linear.bias is None else _cut(linear.bias, tensor, 0)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return this process's outputs."""
        return functional.linear(hidden, self.weight, self.bias)


class _ColumnSlice(nn.Module):
    """A linear layer of which each process has some inputs: their products are added up, then the bias once."""

    def __init__(self, linear: nn.Linear, tensor: Ranks) -> None:
        super().__init__()
        self.weight = _cut(linear.weight, tensor, 1)
        self.bias = linear.bias
        self._tensor = tensor

    def forward(self, inner: Tensor) -> Tensor:
        """Return the whole outputs."""
        output = added_up(functional.linear(inner, self.weight), self._tensor)
        return output if self.bias is None else output + self.bias.to(output.dtype)


def copied(whole: Tensor, tensor: Ranks) -> Tensor:
    """Return the tensor as it is; in the backward pass add up its gradient over the processes.

    The gradients of all that is computed from it come together first. They travel in the format of computation.
    """
    result: Tensor = _Copied.apply(whole, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


def added_up(part: Tensor, tensor: Ranks) -> Tensor:
    """Return the sum of a tensor over the processes; in the backward pass the gradient goes through as it is."""
    result: Tensor = _AddedUp.apply(part, tensor)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return result


class _Copied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, whole: Tensor, tensor: Ranks) -> Tensor:
        ctx.tensor, device = tensor, whole.device.type
        ctx.dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else whole.dtype
        return whole.view_as(whole)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        sent = gradient.to(ctx.dtype, memory_format=torch.contiguous_format, copy=True)
        return ctx.tensor.add(sent).to(gradient.dtype), None


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


def _replace(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
