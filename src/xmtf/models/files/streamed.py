"""A safetensors file written tensor by tensor, with the bytes that the library would write.

The library takes the bytes of a whole file at once. Here one tensor is held, and the file is hashed on its way::

    length of the header, 8 bytes
    {"__metadata__": {...}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    the bytes of all tensors; those with the longest numbers come first, then by name, so that all are aligned
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from xmtf.files import atomic_path
from xmtf.json_types import JsonObject

__all__ = ["ToWrite", "header", "in_order", "tensor_bytes", "write_streamed"]

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class _Shaped(Protocol):
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def shape(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class ToWrite:
    """A tensor that is going to be written.

    Attributes:
        dtype: What its numbers are written in.
        shape: Its shape.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Its bytes in the file."""
        return prod(self.shape) * self.dtype.itemsize


def in_order(tensors: Mapping[str, _Shaped]) -> list[str]:
    """Return names in the order in which their tensors are in a file."""
    return sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))


def header(tensors: Mapping[str, _Shaped], metadata: Mapping[str, str]) -> bytes:
    """Return the first bytes of a file: the length of its header, and the header."""
    entries: JsonObject = {"__metadata__": dict(metadata)}
    start = 0
    for name in in_order(tensors):
        tensor = tensors[name]
        end = start + prod(tensor.shape) * tensor.dtype.itemsize
        entries[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return the bytes of a tensor; they share memory with it where it lies on the CPU in one piece."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def write_streamed(path: Path, tensors: Mapping[str, ToWrite], read: Callable[[str], Tensor]) -> str:
    """Write a file of a model, atomically; return the SHA-256 of its bytes.

    Args:
        path: The file.
        tensors: What goes into it, by name.
        read: Returns a tensor, which is held until it is written.
    """
    digest = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for block in _blocks(tensors, read):
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


def _blocks(tensors: Mapping[str, ToWrite], read: Callable[[str], Tensor]) -> Iterator[bytes | memoryview]:
    yield header(tensors, {"format": "pt"})
    for name in in_order(tensors):
        tensor, wanted = read(name), tensors[name]
        assert (tensor.dtype, tuple(tensor.shape)) == (wanted.dtype, wanted.shape), name
        yield tensor_bytes(tensor)
