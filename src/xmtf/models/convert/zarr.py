"""Arrays in zarr's format, version 2, as tensorstore writes them: a folder with ``.zarray`` and a file for each chunk.

Only what T5X writes is read: C order, gzip, zlib or no compression, and no filters.
"""

from __future__ import annotations

import itertools
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xmtf.errors import DataError
from xmtf.files import read_json
from xmtf.json_types import JsonObject

__all__ = ["read_zarr"]

_DTYPES = {"<f4": torch.float32, "<f2": torch.float16, "bfloat16": torch.bfloat16, "<i4": torch.int32}
_WINDOW_BITS = {"gzip": 31, "zlib": 15}


def read_zarr(folder: Path) -> Tensor:
    """Return a whole array.

    Raises:
        DataError: A chunk is missing or torn, or the array is of a kind that is not read; names the folder.
    """
    about = read_json(folder / ".zarray")
    dtype = _DTYPES.get(about.get("dtype"))
    if about.get("zarr_format") != 2 or dtype is None or about.get("order") != "C" or about.get("filters"):
        raise DataError(
            f"{folder}: a zarr array of format {about.get('zarr_format')}, dtype {about.get('dtype')!r}; supported is "
            f"format 2 in C order, without filters, with dtypes {', '.join(_DTYPES)}"
        )
    shape, chunks = tuple(about["shape"]), tuple(about["chunks"])
    separator = about.get("dimension_separator", ".")
    whole = torch.empty(shape, dtype=dtype)
    for index in itertools.product(*(range(-(-size // chunk)) for size, chunk in zip(shape, chunks, strict=True))):
        name = separator.join(map(str, index)) or "0"
        numbers = _read_chunk(folder / name, about.get("compressor"), math.prod(chunks), dtype).reshape(chunks)
        starts = [position * chunk for position, chunk in zip(index, chunks, strict=True)]
        place = tuple(
            slice(start, min(start + chunk, size)) for start, chunk, size in zip(starts, chunks, shape, strict=True)
        )
        part = tuple(slice(0, where.stop - where.start) for where in place)
        whole[place] = numbers[part]
    return whole


def _read_chunk(path: Path, compressor: JsonObject | None, count: int, dtype: torch.dtype) -> Tensor:
    if not path.exists():
        raise DataError(f"{path} is missing: copy the checkpoint again")
    size = count * dtype.itemsize
    data = path.read_bytes()
    if compressor is not None:
        bits = _WINDOW_BITS.get(compressor.get("id", ""))
        if bits is None:
            raise DataError(
                f"{path}: compressed with {compressor.get('id')!r}; supported are gzip, zlib and no compression"
            )
        unpacking = zlib.decompressobj(bits)
        try:
            data = unpacking.decompress(data, size + 1)
        except zlib.error as error:
            raise DataError(f"{path}: damaged ({error})") from None
        if not unpacking.eof:  # where the checksum stands
            raise DataError(f"{path}: cut short (it ends before its checksum): copy the checkpoint again")
    if len(data) != size:
        raise DataError(f"{path}: has {len(data)} of {size} bytes: copy the checkpoint again")
    # a copy, because torch wants memory that may be written to
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy()).view(dtype)
