"""The header of a GGUF file: its fields and its table of tensors, read in one pass.

The package gguf makes a numpy view of every string of the vocabulary, which takes seconds; here strings of arrays are
skipped. The format is that of ggml's ``gguf.md``, version 2 and 3, little-endian: header, key-value pairs, tensor
table, then the tensors' data at aligned offsets.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xmtf.errors import DataError
from xmtf.json_types import JsonObject

__all__ = ["GgufFile", "read_gguf"]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4
_DEEPEST_ARRAY = 4


@dataclass(frozen=True, slots=True)
class GgufFile:
    """The header of a GGUF file.

    Attributes:
        path: The file.
        fields: Key -> value; of an array of strings only its length.
        tensors: Name -> (shape as numpy has it, quantisation type, offset in the file).
    """

    path: Path
    fields: JsonObject
    tensors: dict[str, tuple[tuple[int, ...], int, int]]

    @property
    def architecture(self) -> str:
        """Such as ``llama``."""
        return str(self.fields.get("general.architecture"))

    def number(self, key: str) -> int | None:
        """Return a field that is a whole number, or None where it is not there or something else."""
        value = self.fields.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class _Header:
    def __init__(self, path: Path) -> None:
        self.data = np.memmap(path, mode="r")
        self.view = self.data.data
        self.at = 0

    def take(self, code: str) -> Any:
        (value,) = struct.unpack_from("<" + code, self.view, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def skip(self, num_bytes: int) -> int:
        """Go past bytes that have to be there; return where they begin."""
        start = self.at
        if num_bytes > len(self.view) - start:
            raise ValueError(f"{num_bytes} bytes at {start} are beyond its end")
        self.at += num_bytes
        return start

    def text(self) -> str:
        start = self.skip(self.take("Q"))
        return bytes(self.view[start : self.at]).decode("utf-8", errors="replace")

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.take(_SCALARS[kind])
        item, length = self.take("I"), self.take("Q")
        if item == _STRING:
            self.skip_texts(length)
            return length
        if item != _ARRAY:
            return self.numbers(_SCALARS[item], length)
        if depth == _DEEPEST_ARRAY:
            raise ValueError("arrays are nested too deeply")
        return [self.value(item, depth + 1) for _ in range(length)]

    def skip_texts(self, length: int) -> None:
        unpack, at, end = struct.Struct("<Q").unpack_from, self.at, len(self.view)
        for _ in range(length):
            (size,) = unpack(self.view, at)
            at += 8 + size
            if at > end:
                raise ValueError(f"a text of {size} bytes is beyond its end")
        self.at = at

    def numbers(self, code: str, length: int) -> list[Any]:
        start = self.skip(length * struct.calcsize("<" + code))
        return list(struct.unpack_from(f"<{length}{code}", self.view, start))


def read_gguf(path: Path) -> GgufFile:
    """Read the header of a GGUF file.

    Raises:
        DataError: Not a GGUF file of version 2 or 3, or cut short, or its tables make no sense.
    """
    try:
        header = _Header(path)
        if bytes(header.view[:4]) != b"GGUF":
            raise DataError(f"{path}: not a GGUF file")
        header.at = 4
        version = header.take("I")
        if version not in (2, 3):
            raise DataError(f"{path}: unknown GGUF version {version} (known: 2 and 3)")
        return _read_tables(path, header)
    except KeyError as error:
        raise DataError(f"{path}: incomplete or damaged GGUF file (unknown field type {error})") from None
    except (struct.error, ValueError, OSError) as error:
        raise DataError(f"{path}: incomplete or damaged GGUF file ({error})") from None


def _read_tables(path: Path, header: _Header) -> GgufFile:
    num_tensors, num_fields = header.take("Q"), header.take("Q")
    fields = {}
    for _ in range(num_fields):
        key = header.text()
        fields[key] = header.value(header.take("I"))
    table = []
    for _ in range(num_tensors):
        name, num_dimensions = header.text(), header.take("I")
        if num_dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"tensor {name!r} has {num_dimensions} dimensions")
        shape = tuple(reversed(header.numbers("Q", num_dimensions)))
        table.append((name, shape, header.take("I"), header.take("Q")))
    alignment = fields.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"general.alignment is {alignment!r}")
    if len({name for name, *_ in table}) < len(table):
        raise ValueError("two tensors have the same name")
    start = -(-header.at // alignment) * alignment
    return GgufFile(path, fields, {name: (shape, kind, start + offset) for name, shape, kind, offset in table})
