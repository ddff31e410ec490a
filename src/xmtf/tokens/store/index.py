"""The index file of Megatron's token format: where each item lies in the ``.bin`` file next to it.

Little endian, N items, M entries of the document index::

    offset        size   content
    0             9      ``MMIDIDX`` and two zero bytes
    9             8      version, always 1
    17            1      dtype code
    18            8      N
    26            8      M
    34            4 N    tokens of each item, int32
    34 + 4 N      8 N    byte offset of each item in the .bin file, int64
    34 + 12 N     8 M    document index, int64: 0, then after every document the items so far
    34 + 12N + 8M N      only multimodal files of Megatron-core: mode of each item, int8, not read
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xmtf.errors import DataError
from xmtf.files import atomic_path

__all__ = ["DTYPES", "Index", "choose_dtype", "dtype_code", "read_index", "write_index"]

_NAMES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 6: "<f8", 7: "<f4", 8: "<u2"}
DTYPES = {code: np.dtype(name) for code, name in _NAMES.items()}
"""Dtype codes of Megatron-core. Megatron-DeepSpeed has 8 bytes for code 7; tokens are integers in both."""

_MAGIC = b"MMIDIDX\x00\x00"
_OLD_MAGIC = b"TNTIDX\x00\x00"
_HEADER = struct.Struct("<9sQBQQ")
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class Index:
    """A checked index, memory-mapped.

    Attributes:
        dtype: Of the tokens in the ``.bin`` file.
        sizes: int32 ``[N]``, tokens of each item.
        pointers: int64 ``[N]``, byte offset of each item.
        documents: int64 ``[M]``, document index.
    """

    dtype: np.dtype[Any]
    sizes: npt.NDArray[np.int32]
    pointers: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]

    @property
    def num_bytes(self) -> int:
        """Bytes that the ``.bin`` file must hold."""
        if len(self.sizes) == 0:
            return 0
        return int(self.pointers[-1]) + int(self.sizes[-1]) * self.dtype.itemsize


def choose_dtype(vocab_size: int) -> np.dtype[Any]:
    """Return the token dtype that Megatron chooses: uint16 below 65,500 tokens, else int32."""
    return np.dtype("<u2") if vocab_size < 65_500 else np.dtype("<i4")


def dtype_code(dtype: np.dtype[Any]) -> int:
    """Return the code of a dtype.

    Raises:
        DataError: The format has no code for it.
    """
    for code, known in DTYPES.items():
        if known == dtype:
            return code
    raise DataError(f"token files cannot hold {dtype}")


def write_index(
    path: Path,
    sizes: npt.NDArray[np.int32],
    dtype: np.dtype[Any],
    documents: npt.NDArray[np.int64] | None = None,
) -> None:
    """Write an index file, atomically and without a loop over items.

    Args:
        path: The ``.idx`` file.
        sizes: int32 ``[N]``, tokens of each item; the items lie back to back.
        dtype: Of the tokens.
        documents: int64 ``[M]``; default one item a document: ``0, 1, ..., N``.
    """
    count = len(sizes)
    if documents is None:
        documents = np.arange(count + 1, dtype="<i8")
    ends = np.cumsum(sizes, dtype="<i8") * dtype.itemsize
    header = _HEADER.pack(_MAGIC, 1, dtype_code(dtype), count, len(documents))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(header)
        stream.write(np.ascontiguousarray(sizes, dtype="<i4").data)
        stream.write((ends - sizes.astype("<i8") * dtype.itemsize).data)
        stream.write(np.ascontiguousarray(documents, dtype="<i8").data)


def read_index(path: Path) -> Index:
    """Map an index file and check all of it against itself.

    Raises:
        DataError: Missing, foreign, truncated or contradictory; names the file and the byte offset.
    """
    length, header = _read_header(path)
    magic, version, code, count, num_documents = _HEADER.unpack(header)
    if magic != _MAGIC:
        old = magic.startswith(_OLD_MAGIC)
        hint = "Megatron's older `cached` format; convert it to its `mmap` format" if old else "not an index"
        raise DataError(f"{path}: byte 0: {hint}")
    if version != 1:
        raise DataError(f"{path}: byte 9: version {version}, only 1 is supported")
    if code not in DTYPES:
        raise DataError(f"{path}: byte 17: unknown dtype code {code}")
    expected = _HEADER.size + 12 * count + 8 * num_documents
    if length not in (expected, expected + count):
        raise DataError(
            f"{path}: byte 18: {count} items and {num_documents} document entries need {expected} bytes, but the file "
            f"has {length}"
        )
    at = _HEADER.size
    index = Index(
        DTYPES[code],
        _map(path, "<i4", at, count),
        _map(path, "<i8", at + 4 * count, count),
        _map(path, "<i8", at + 12 * count, num_documents),
    )
    _check_pointers(path, index)
    _check_documents(path, index)
    return index


def _read_header(path: Path) -> tuple[int, bytes]:
    try:
        with path.open("rb") as stream:
            header = stream.read(_HEADER.size)
        length = path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if len(header) < _HEADER.size:
        raise DataError(f"{path}: byte {len(header)}: the file ends inside its header of {_HEADER.size} bytes")
    return length, header


def _map(path: Path, dtype: str, offset: int, count: int) -> npt.NDArray[Any]:
    if count == 0:
        return np.empty(0, dtype=dtype)
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(count,))


def _check_pointers(path: Path, index: Index) -> None:
    """Check that items lie back to back from byte 0, in blocks that bound the memory."""
    start, count = 0, len(index.sizes)
    for first in range(0, count, _BLOCK):
        sizes = index.sizes[first : first + _BLOCK].astype(np.int64)
        if sizes.min() < 0:
            item = first + int(np.argmin(sizes))
            raise DataError(f"{path}: byte {_HEADER.size + 4 * item}: item {item} has a negative size")
        ends = start + np.cumsum(sizes) * index.dtype.itemsize
        begins = ends - sizes * index.dtype.itemsize
        wrong = np.flatnonzero(begins != index.pointers[first : first + _BLOCK])
        if wrong.size:
            item = first + int(wrong[0])
            raise DataError(
                f"{path}: byte {_HEADER.size + 4 * count + 8 * item}: item {item} begins at byte "
                f"{int(index.pointers[item])} of the .bin file, but its sizes and {index.dtype} give {begins[wrong[0]]}"
            )
        start = int(ends[-1])


def _check_documents(path: Path, index: Index) -> None:
    documents, count = index.documents, len(index.sizes)
    at = _HEADER.size + 12 * count
    if len(documents) == 0 or documents[0] != 0 or documents[-1] != count:
        raise DataError(f"{path}: byte {at}: the document index does not run from 0 to {count}")
    wrong = np.flatnonzero(documents[1:] < documents[:-1])
    if wrong.size:
        raise DataError(f"{path}: byte {at + 8 * (int(wrong[0]) + 1)}: the document index goes backwards")
