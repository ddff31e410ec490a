"""bf16 on processors without bf16 instructions: operands rounded to bf16, products computed in fp32.

There torch multiplies bf16 matrices one number at a time where no fast routine fits, hundreds of times slower than
fp32. A product of two bf16 numbers is exact in fp32, sums are kept in fp32 and the result is rounded once, which is
what a processor with bf16 instructions does: the numbers are those of bf16, at nearly the speed of fp32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from xmtf.models.torch_private import FakeTensorMode, TorchDispatchMode, dispatch_modes

__all__ = ["ProductsInFp32", "numbers_are_fake"]

_ATEN = torch.ops.aten
_PRODUCTS = frozenset({
    _ATEN.mm.default,
    _ATEN.bmm.default,
    _ATEN.addmm.default,
    _ATEN.baddbmm.default,
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward.default,
})  # fmt: skip
_IN_PLACE = {_ATEN.addmm_.default: _ATEN.addmm.default, _ATEN.baddbmm_.default: _ATEN.baddbmm.default}
"""Products added to their first argument, and the same products with a result of their own."""


def numbers_are_fake() -> bool:
    """Return whether tensors are shapes alone, whose products cost nothing in any number format."""
    return any(isinstance(mode, FakeTensorMode) for mode in dispatch_modes())


class ProductsInFp32(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """While it is entered, matrix products of bf16 tensors on the CPU are computed in fp32 and rounded once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute one operation of torch; all but matrix products of bf16 tensors as they are."""
        kwargs = kwargs or {}
        if func in _PRODUCTS and _is_bf16(args):
            return _rounded(func(*map(_widened, args), **{key: _widened(value) for key, value in kwargs.items()}))
        if func in _IN_PLACE and _is_bf16(args):
            return args[0].copy_(_IN_PLACE[func](*map(_widened, args), **kwargs))
        if torch.is_inference_mode_enabled():  # there `linear` and the like come whole
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return func(*args, **kwargs)


def _is_bf16(values: Iterable[Any]) -> bool:
    """Return whether the first tensor is a bf16 tensor on the CPU; a product's tensors are of one kind."""
    first = next(value for value in values if isinstance(value, Tensor))
    return first.dtype == torch.bfloat16 and first.device.type == "cpu"


def _widened(value: object) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value


def _rounded(result: Any) -> Any:
    """Round a product; of attention, what autograd keeps in fp32 (the log of sums) stays."""
    if isinstance(result, Tensor):
        return result.to(torch.bfloat16)
    return tuple(_rounded(part) if part is not None and part.dim() == 4 else part for part in result)
