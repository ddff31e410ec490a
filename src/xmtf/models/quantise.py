"""Weights in 8 bits: matrices of the body become int8 with a scale for every row.

``weights`` keeps activations as they are and turns one matrix at a time back for its product: the method
on a CPU, where it costs no time. ``llm_int8`` (Dettmers et al. 2022, through bitsandbytes) also multiplies in
int8, columns with outliers apart in higher precision: the method on a GPU. Embedding, head and norms
stay as they are.

::

    row      1.0  -0.5  0.25       scale  1.0 / 127
    int8     127   -64    32       back   1.0  -0.504  0.252
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import require
from xmtf.models.interface import Model

__all__ = ["Int8Linear", "Quantised", "quantise_int8"]

Method = Literal["weights", "llm_int8"]

_OUTLIER = 6.0
"""Activations from this size on are multiplied in higher precision, as the paper of LLM.int8 proposes."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """What quantisation changed.

    Attributes:
        num_matrices: Matrices that are int8 now.
        bytes_before: Bytes of all parameters before.
        bytes_after: And after, scales included.
    """

    num_matrices: int
    bytes_before: int
    bytes_after: int


class Int8Linear(nn.Module):
    """A linear layer with int8 weights ``[O, I]`` and scales ``[O]``; inputs and outputs are as before."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight_OI = linear.weight.detach().float()
        scale_O = weight_OI.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        self.register_buffer("weight", (weight_OI / scale_O[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale_O.to(linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the product with the weights, ``[..., O]``."""
        product = functional.linear(inputs, self.weight.to(inputs.dtype)) * self.scale
        return product if self.bias is None else product + self.bias


def quantise_int8(model: Model, method: Method | None = None) -> Quantised:
    """Turn the matrices of a model's body into int8, in place; it can then only be read, not trained.

    Args:
        model: In evaluation mode, on the device that it is to run on.
        method: Default ``weights`` on a CPU and ``llm_int8`` on a GPU.

    Raises:
        MissingExtraError: ``llm_int8`` without the package bitsandbytes.
    """
    assert isinstance(model, nn.Module)
    before = _num_bytes(model)
    head = model.head_weight()
    chosen = method or ("weights" if head.device.type == "cpu" else "llm_int8")
    # names alone: a list of the layers would keep every old matrix until the last one is converted
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and child.weight is not head
    ]
    scales = 0
    for parent, name in places:
        linear = getattr(parent, name)
        scales += linear.out_features
        setattr(parent, name, Int8Linear(linear) if chosen == "weights" else _llm_int8(linear))
    return Quantised(len(places), before, _num_bytes(model) + (4 * scales if chosen == "llm_int8" else 0))


def _llm_int8(linear: nn.Linear) -> nn.Module:
    bitsandbytes = require("bitsandbytes", "gpu").nn
    # it says at every product that activations are cast to 16 bits, which is how the method works
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    device, has_bias = linear.weight.device, linear.bias is not None
    made: nn.Module = bitsandbytes.Linear8bitLt(
        linear.in_features, linear.out_features, bias=has_bias, has_fp16_weights=False, threshold=_OUTLIER
    )
    made.weight = bitsandbytes.Int8Params(linear.weight.data.cpu(), requires_grad=False, has_fp16_weights=False)
    made.bias = linear.bias
    return made.to(device).eval()


def _num_bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
