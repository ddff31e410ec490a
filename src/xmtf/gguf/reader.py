"""The package gguf's reader without its loop over every number and string of an array, lent to transformers.

Transformers reads configurations and weights of GGUF files with ``gguf.GGUFReader``, which makes several numpy views of
each entry of a vocabulary: five seconds for 256,000 tokens, and it reads a file two or three times. The reader
here makes the same fields from one view of an array.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Iterator
from typing import Any

import gguf

__all__ = ["quick_gguf"]


@contextlib.contextmanager
def quick_gguf() -> Iterator[None]:
    """Let whoever asks the package gguf for its reader have the quick one."""
    module: Any = gguf
    original = module.GGUFReader
    module.GGUFReader = _quick_reader(original)
    try:
        yield
    finally:
        module.GGUFReader = original


@functools.cache
def _quick_reader(original: Any) -> type:
    kinds = gguf.GGUFValueType

    class QuickReader(original):  # type: ignore[misc]  # the package has no types
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
            slow = super()._get_field_parts
            if kinds(raw_type) != kinds.ARRAY or self.byte_order != "I":
                return slow(orig_offs, raw_type)  # type: ignore[no-any-return]
            item, length = struct.unpack_from("<IQ", self.data, orig_offs)
            begin = orig_offs + 12
            if length == 0 or kinds(item) == kinds.ARRAY:
                return slow(orig_offs, raw_type)  # type: ignore[no-any-return]
            if kinds(item) == kinds.STRING:
                end, found = _strings(self.data.data, begin, length)
            else:
                numbers = self._get(begin, self.gguf_scalar_to_np[kinds(item)], length)
                end, found = begin + numbers.nbytes, list(numbers[:, None])
            return end - orig_offs, found, list(range(length)), [kinds.ARRAY, kinds(item)]

    return QuickReader


def _strings(view: memoryview, begin: int, length: int) -> tuple[int, list[memoryview]]:
    """Return where the strings of an array end, and their bytes."""
    unpack, found = struct.Struct("<Q").unpack_from, []
    for _ in range(length):
        (size,) = unpack(view, begin)
        found.append(view[begin + 8 : begin + 8 + size])
        begin += 8 + size
    return begin, found
