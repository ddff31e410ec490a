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

import xxhash
from torch import Tensor

from xmtf.models.files.streamed import header, in_order, tensor_bytes
from xmtf.training.optim.eight_bit import Average

__all__ = ["write_shard_file"]


def write_shard_file(path: Path, pieces: Mapping[str, tuple[Tensor | Average, Sequence[int]]]) -> str:
    """Write a file and return the hash of its bytes (xxh3, 128 bits, hexadecimal); returns when it is on disk.

    Args:
        path: The file.
        pieces: Name -> numbers, on any device, and where they lie in the whole tensor. The places are in the header as
            torch.distributed.checkpoint reads them.
    """
    order = in_order({name: piece for name, (piece, _) in pieces.items()})
    digest = xxhash.xxh3_128()
    with path.open("wb") as stream:
        for block in _blocks(order, pieces):
            digest.update(block)
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _blocks(
    order: Sequence[str], pieces: Mapping[str, tuple[Tensor | Average, Sequence[int]]]
) -> Iterator[bytes | memoryview]:
    """Yield the header, then the bytes of each tensor, which share memory with it where it lies on the CPU."""
    places = {name: {"saved_offsets": list(pieces[name][1])} for name in order}
    about = {"DCP_SHARDING_INFO": json.dumps(places), "DCP_VERSION": "1.0", "format": "pt"}
    yield header({name: piece for name, (piece, _) in pieces.items()}, about)
    for name in order:
        piece = pieces[name][0]
        yield tensor_bytes(piece.numbers() if isinstance(piece, Average) else piece)
