"""Weights that are not numbers are named before anything is computed with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xmtf.errors import DataError

__all__ = ["require_finite", "require_finite_tensors"]


@torch.no_grad()
def require_finite(model: nn.Module, label: str) -> None:
    """Refuse a model with weights that are not finite; parameters on the meta device are skipped.

    Args:
        model: With its weights.
        label: What errors call it.

    Raises:
        DataError: Names the first of the weights.
    """
    require_finite_tensors(dict(model.named_parameters()), label)


@torch.no_grad()
def require_finite_tensors(weights: Mapping[str, Tensor], label: str) -> None:
    """Refuse weights that are not finite; arguments and errors as of :func:`require_finite`."""
    damaged = [name for name, weight in weights.items() if not _is_finite(weight)]
    if damaged:
        dtype = str(weights[damaged[0]].dtype).removeprefix("torch.")
        raise DataError(
            f"{label}: {len(damaged)} of its tensors contain NaN or infinity in {dtype}, the first is {damaged[0]!r}: "
            f"the files are damaged, or training diverged; use another checkpoint"
        )


def _is_finite(tensor: Tensor) -> bool:
    """Look at the smallest and the largest number: NaN is both of them where there is one."""
    if tensor.is_meta or not tensor.numel() or not tensor.is_floating_point():
        return True
    return all(bool(torch.isfinite(edge)) for edge in torch.aminmax(tensor))
