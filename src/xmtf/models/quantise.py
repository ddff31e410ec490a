"""Weights in 8 or 4 bits: matrices of the body become small numbers with scales; embedding, head and norms stay.

``int8`` has a scale for every row::

    row      1.0  -0.5  0.25       scale  1.0 / 127
    int8     127   -64    32       back   1.0  -0.504  0.252

Two methods compute with it. ``weights`` keeps activations as they are and turns one matrix at a time back for its
product: the method on a CPU, where it costs no time, and under adapters, whose gradients pass through it. ``llm_int8``
(Dettmers et al. 2022, through bitsandbytes) also multiplies in int8, columns with outliers apart in higher precision:
the method of evaluation on a GPU.

``nf4`` (Dettmers et al. 2023, through bitsandbytes) has 16 numbers, dense where weights are, and a scale for every 64
weights: 4.5 bits a weight. Matrices are dequantised one at a time for their products, and once more for gradients.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from xmtf.errors import require
from xmtf.models.interface import Model
from xmtf.models.layers.attention import compute_dtype
from xmtf.recipe.schema import QuantizeKind

__all__ = [
    "Int8Linear",
    "Nf4Linear",
    "Quantised",
    "QuantisedLinear",
    "check_quantise",
    "quantise_model",
    "quantised_layer",
    "quantised_line",
    "quantised_linears",
]

Method = Literal["weights", "llm_int8"]

_OUTLIER = 6.0
"""Activations from this size on are multiplied in higher precision, as the paper of LLM.int8 proposes."""
_BLOCK = 64
"""Weights that share a scale in nf4, as in QLoRA."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """What quantisation changed.

    Attributes:
        kind: ``int8`` or ``nf4``.
        num_matrices: Matrices that are of it now.
        bytes_before: Bytes of all parameters before.
        bytes_after: And after, scales included.
    """

    kind: QuantizeKind
    num_matrices: int
    bytes_before: int
    bytes_after: int


class QuantisedLinear(nn.Module):
    """A linear layer whose weights ``[O, I]`` are small numbers; inputs and outputs are as before, and so is its bias.

    Its numbers are not part of checkpoints: they are recreated from the model that training starts from.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias

    @property
    def num_weights(self) -> int:
        """Weights that it stands for."""
        return self.in_features * self.out_features

    @property
    def num_bytes(self) -> int:
        """Bytes of its numbers and scales."""
        return sum(buffer.nbytes for buffer in self.buffers(recurse=False))


class Int8Linear(QuantisedLinear):
    """A linear layer with int8 weights ``[O, I]`` and scales ``[O]``."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight_OI = linear.weight.detach().float()
        scale_O = weight_OI.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        self.register_buffer("weight", (weight_OI / scale_O[:, None]).round().to(torch.int8), persistent=False)
        self.register_buffer("scale", scale_O.to(linear.weight.dtype), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the product with the weights, ``[..., O]``."""
        inputs = inputs.to(compute_dtype(inputs))
        product: Tensor = _Int8Product.apply(inputs, self.weight, self.scale)  # type: ignore[no-untyped-call]  # of torch
        return product if self.bias is None else product + self.bias.to(product.dtype)


class _Int8Product(torch.autograd.Function):
    """Keeps the int8 weights for the backward pass, and not the matrix that they were dequantised into."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight_OI: Tensor, scale_O: Tensor) -> Tensor:
        ctx.save_for_backward(weight_OI, scale_O)
        return functional.linear(inputs, weight_OI.to(inputs.dtype)) * scale_O.to(inputs.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        weight_OI, scale_O = ctx.saved_tensors
        gradient = gradients[0]
        return (gradient * scale_O.to(gradient.dtype)) @ weight_OI.to(gradient.dtype), None, None


class Nf4Linear(QuantisedLinear):
    """A linear layer with two weights a byte ``[O * I / 2, 1]`` and a scale for every 64 of them.

    Scales are kept as the bits of fp32, which a change of the model's number format skips.
    """

    weight = None
    """Some models ask for its number format: it has none."""
    packed: Tensor
    scale_bits: Tensor
    code_bits: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear)
        weight_OI = linear.weight.detach()
        blocks = -(-self.num_weights // _BLOCK)
        if weight_OI.is_meta:
            packed, scale, code = (
                torch.empty(shape, dtype=dtype, device="meta")
                for shape, dtype in (
                    ((-(-self.num_weights // 2), 1), torch.uint8),
                    ((blocks,), torch.float32),
                    ((16,), torch.float32),
                )
            )
        else:
            quantize = require("bitsandbytes", "gpu").functional.quantize_4bit
            packed, state = quantize(weight_OI.contiguous(), quant_type="nf4", blocksize=_BLOCK)
            scale, code = state.absmax.float(), state.code.float()
        self.register_buffer("packed", packed, persistent=False)
        self.register_buffer("scale_bits", scale.view(torch.int32), persistent=False)
        self.register_buffer("code_bits", code.view(torch.int32), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the product with the weights, ``[..., O]``."""
        bitsandbytes = require("bitsandbytes", "gpu")
        inputs = inputs.to(compute_dtype(inputs))
        state = bitsandbytes.functional.QuantState(
            absmax=self.scale_bits.view(torch.float32),
            shape=torch.Size((self.out_features, self.in_features)),
            code=self.code_bits.view(torch.float32),
            blocksize=_BLOCK,
            quant_type="nf4",
            dtype=inputs.dtype,
        )
        bias = None if self.bias is None else self.bias.to(inputs.dtype)
        product: Tensor = bitsandbytes.matmul_4bit(inputs, self.packed.t(), quant_state=state, bias=bias)
        return product


def check_quantise(kind: QuantizeKind | None, device: torch.device) -> None:
    """Refuse what this machine cannot do, before a model is loaded.

    Raises:
        MissingExtraError: ``nf4``, or ``int8`` on a GPU, without the package bitsandbytes.
    """
    if kind == "nf4" or (kind is not None and device.type == "cuda"):
        require("bitsandbytes", "gpu")


def quantised_layer(linear: nn.Linear, kind: QuantizeKind) -> QuantisedLinear:
    """Return a layer as quantised weights that gradients pass through."""
    return Nf4Linear(linear) if kind == "nf4" else Int8Linear(linear)


def quantised_linears(model: nn.Module) -> Iterator[QuantisedLinear]:
    """Yield the quantised layers of a model, those inside adapters too."""
    return (module for module in model.modules() if isinstance(module, QuantisedLinear))


def quantise_model(model: Model, kind: QuantizeKind, method: Method | None = None) -> Quantised:
    """Turn the matrices of a model's body into small numbers, in place; they then train no more.

    Args:
        model: On the device that it is to run on, or on the CPU and moved later (``weights`` and ``nf4``).
        kind: ``int8`` or ``nf4``.
        method: Of int8: default ``weights`` on a CPU and ``llm_int8`` on a GPU.

    Raises:
        MissingExtraError: ``nf4`` or ``llm_int8`` without the package bitsandbytes.
    """
    assert isinstance(model, nn.Module)
    before = _num_bytes(model)
    head = model.head_weight()
    outlying = kind == "int8" and (method or ("weights" if head.device.type == "cpu" else "llm_int8")) == "llm_int8"
    # names alone: a list of the layers would keep every old matrix until the last one is converted
    places = [
        (parent, name)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is nn.Linear and child.weight is not head
    ]
    scales = 0
    for parent, name in places:
        linear = cast("nn.Linear", getattr(parent, name))
        scales += linear.out_features
        setattr(parent, name, _llm_int8(linear) if outlying else quantised_layer(linear, kind))
    return Quantised(kind, len(places), before, _num_bytes(model) + (4 * scales if outlying else 0))


def quantised_line(change: Quantised) -> str:
    """Return what quantisation did, for people."""
    before, after = change.bytes_before / 1e6, change.bytes_after / 1e6
    return f"{change.num_matrices} matrices in {change.kind}: {after:,.0f} MB of weights instead of {before:,.0f}"


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
