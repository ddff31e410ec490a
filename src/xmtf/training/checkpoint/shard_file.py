"""A safetensors file of pieces of tensors, written and hashed one tensor after the other.

The library takes the bytes of a whole file at once, which is a second copy of all that a process holds (and a third
where it trains on a GPU). Here a tensor at a time is on the CPU::

    length of the header, 8 bytes
    {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {...}}
    the bytes of all tensors by name; those with the longest numbers come first, so that all are aligned
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import xxhash
from torch import Tensor

from xmtf.json_types import JsonObject

__all__ = ["write_shard_file"]

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_shard_file(path: Path, pieces: Mapping[str, tuple[Tensor, Sequence[int]]]) -> str:
    """Write a file and return the hash of its bytes (xxh3, 128 bits, hexadecimal); returns when it is on disk.

    Args:
        path: The file.
        pieces: Name -> numbers, on any device, and where they lie in the whole tensor. The places stand in the
            header as torch.distributed.checkpoint reads them.
    """
    order = sorted(pieces, key=lambda name: (-pieces[name][0].dtype.itemsize, name))
    digest = xxhash.xxh3_128()
    with path.open("wb") as stream:
        for block in _blocks(order, pieces):
            digest.update(block)
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _blocks(order: Sequence[str], pieces: Mapping[str, tuple[Tensor, Sequence[int]]]) -> Iterator[Any]:
    """Yield the header, then the bytes of each tensor, which share memory with it where it lies on the CPU."""
    yield _header(order, pieces)
    for name in order:
        yield pieces[name][0].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def _header(order: Sequence[str], pieces: Mapping[str, tuple[Tensor, Sequence[int]]]) -> bytes:
    places = {name: {"saved_offsets": list(pieces[name][1])} for name in order}
    about = {"DCP_SHARDING_INFO": json.dumps(places), "DCP_VERSION": "1.0", "format": "pt"}
    header: JsonObject = {"__metadata__": about}
    start = 0
    for name in order:
        tensor = pieces[name][0]
        end = start + tensor.numel() * tensor.dtype.itemsize
        header[name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
