"""Copies from the host to where a model computes: few, in one piece, and never back.

Its own copy costs a GPU some ten microseconds, and memory that is not pinned makes the program wait for it. What a
micro-batch needs is known together, so it travels together. Reading back what the host has sent would wait for all that
the GPU still has to do: the host remembers it instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["extended", "on_host", "remember", "to_device"]

_ALIGNED = 16
"""Bytes at whose multiples arrays begin in the piece that travels."""
_SENT: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def to_device(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Return arrays as tensors on a device, in their shapes and number formats, by one copy.

    On a CPU nothing is copied: tensors share the arrays' memory.

    ::

        arrays     int64 [3]      fp32 [2]      bool [5]
        bytes      0 ... 24       32 .. 40      48 . 53       travel as one piece of 53
    """
    plain = [np.ascontiguousarray(array) for array in arrays]
    if device.type == "cpu":
        return [torch.from_numpy(array) for array in plain]
    starts, end = [], 0
    for array in plain:
        starts.append(-(-end // _ALIGNED) * _ALIGNED)
        end = starts[-1] + array.nbytes
    piece = torch.empty(end, dtype=torch.uint8, pin_memory=device.type == "cuda")
    filled = piece.numpy()
    for array, start in zip(plain, starts, strict=True):
        filled[start : start + array.nbytes] = array.reshape(-1).view(np.uint8)
    there = piece.to(device, non_blocking=True)
    return [
        there[start : start + array.nbytes].view(torch.from_numpy(array).dtype).view(array.shape)
        for array, start in zip(plain, starts, strict=True)
    ]


def remember(sent: Tensor, array: NDArray[Any]) -> Tensor:
    """Remember the numbers of a tensor on the host, for as long as it lives; return it."""
    _SENT[sent] = array
    return sent


def on_host(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's numbers: remembered where they were sent from here, else read back."""
    array: NDArray[Any] = _SENT[tensor] if tensor in _SENT else tensor.cpu().numpy()
    return array


def extended(tensor: Tensor, more: int) -> Tensor:
    """Return a tensor with so many zeros behind its last dimension; what the host remembers of it, too."""
    if more == 0:
        return tensor
    longer = functional.pad(tensor, (0, more))
    if tensor in _SENT:
        remember(longer, np.pad(_SENT[tensor], [(0, 0)] * (tensor.ndim - 1) + [(0, more)]))
    return longer
