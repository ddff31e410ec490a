"""Token files: items of tokens back to back in a ``.bin`` file, and the index that finds them.

Items are appended in bulk and read memory-mapped; Megatron-DeepSpeed and Megatron-core read the same
files. A mixture's language is a pair of stores, one of inputs and one of targets, item by item.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from xmtf.errors import DataError
from xmtf.files import atomic_path
from xmtf.tokens.store.index import Index, read_index, write_index

__all__ = ["StoreWriter", "TokenStore", "merge_stores", "open_store", "with_suffix"]


def with_suffix(prefix: Path, suffix: str) -> Path:
    """Return ``prefix`` with ``.bin`` or ``.idx`` appended (a language code may hold a dot or a dash)."""
    return prefix.with_name(prefix.name + suffix)


@dataclass(frozen=True, slots=True)
class TokenStore:
    """One store, memory-mapped.

    Attributes:
        prefix: Path without ``.bin`` and ``.idx``.
        index: The checked index.
        tokens: All tokens of all items, ``[total]``, dtype of the index.
    """

    prefix: Path
    index: Index
    tokens: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.index.sizes)

    def __getitem__(self, item: int) -> npt.NDArray[Any]:
        """Return the tokens of one item."""
        start = int(self.index.pointers[item]) // self.index.dtype.itemsize
        return self.tokens[start : start + int(self.index.sizes[item])]

    def starts(self, items: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return where items begin in ``tokens``."""
        found: npt.NDArray[np.int64] = self.index.pointers[items] // self.index.dtype.itemsize
        return found

    def gather(self, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return many runs of tokens, concatenated, as int64.

        Args:
            starts: int64 ``[runs]``, positions in ``tokens``.
            lengths: int64 ``[runs]``.

        Raises:
            DataError: A token is negative: the file was written with another dtype or is damaged.
        """
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        where = np.repeat(starts - (ends - lengths), lengths) + np.arange(total)
        found = self.tokens[where].astype(np.int64)
        if total and found.min() < 0:
            at = int(where[int(np.argmin(found))]) * self.index.dtype.itemsize
            raise DataError(f"{with_suffix(self.prefix, '.bin')}: byte {at}: token {int(found.min())} is negative")
        return found


def open_store(prefix: Path) -> TokenStore:
    """Map a store and check its index and the length of its tokens.

    Raises:
        DataError: A file is missing, truncated, foreign or does not match the other; names file and offset.
    """
    index_path, path = with_suffix(prefix, ".idx"), with_suffix(prefix, ".bin")
    index = read_index(index_path)
    if index.dtype.kind == "f":
        raise DataError(f"{index_path}: byte 17: contains floating point numbers ({index.dtype}), not tokens")
    try:
        length = path.stat().st_size
    except FileNotFoundError:
        raise DataError(f"{path}: missing (its index exists)") from None
    if length != index.num_bytes:
        raise DataError(
            f"{path}: byte {min(length, index.num_bytes)}: has {length} bytes, but {index_path.name} gives "
            f"{index.num_bytes}"
        )
    tokens = np.memmap(path, dtype=index.dtype, mode="r") if length else np.empty(0, dtype=index.dtype)
    return TokenStore(prefix, index, tokens)


class StoreWriter:
    """Writes one store: append in bulk, and both files appear whole at the end of the ``with`` block.

    Args:
        prefix: Path without ``.bin`` and ``.idx``.
        dtype: Of the tokens, see :func:`xmtf.tokens.store.index.choose_dtype`.
    """

    def __init__(self, prefix: Path, dtype: np.dtype[Any]) -> None:
        self.prefix = prefix
        self.dtype = np.dtype(dtype)
        self._sizes: list[npt.NDArray[np.int32]] = []
        self._documents: list[npt.NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        self._num_items = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        path = self._stack.enter_context(atomic_path(with_suffix(self.prefix, ".bin")))
        self._stream = self._stack.enter_context(path.open("wb"))
        return self

    def append(self, tokens: npt.NDArray[Any], sizes: npt.NDArray[Any]) -> None:
        """Append items, each its own document.

        Args:
            tokens: Tokens of all the items, concatenated.
            sizes: Tokens of each item.

        Raises:
            DataError: A token does not fit the dtype, or the sizes do not add up.
        """
        if int(np.sum(sizes)) != len(tokens):
            raise DataError(f"{self.prefix}: {len(tokens)} tokens for items of {int(np.sum(sizes))}")
        limits = np.iinfo(self.dtype)
        if len(tokens) and (tokens.min() < limits.min or tokens.max() > limits.max):
            raise DataError(f"{self.prefix}: token {int(tokens.max())} does not fit {self.dtype}")
        self._stream.write(np.ascontiguousarray(tokens, dtype=self.dtype).data)
        self._record(np.asarray(sizes, dtype=np.int32), np.arange(1, len(sizes) + 1))

    def append_store(self, store: TokenStore, kept: npt.NDArray[np.bool_] | None = None) -> None:
        """Append all items of another store of the same dtype, and its documents; or some of its items, by a mask."""
        if store.index.dtype != self.dtype:
            raise DataError(f"{store.prefix}: has dtype {store.index.dtype}, {self.prefix} has {self.dtype}")
        if kept is not None and not kept.all():
            sizes = np.array(store.index.sizes)
            self._stream.write(np.ascontiguousarray(store.tokens[np.repeat(kept, sizes)]).data)
            self._record(sizes[kept], np.arange(1, int(kept.sum()) + 1))
            return
        with with_suffix(store.prefix, ".bin").open("rb") as source:
            shutil.copyfileobj(source, self._stream, 1 << 20)
        self._record(np.array(store.index.sizes), np.array(store.index.documents[1:]))

    def _record(self, sizes: npt.NDArray[np.int32], document_ends: npt.NDArray[np.int64]) -> None:
        self._sizes.append(sizes)
        self._documents.append(document_ends + self._num_items)
        self._num_items += len(sizes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            sizes = np.concatenate(self._sizes) if self._sizes else np.empty(0, dtype=np.int32)
            documents = np.concatenate(self._documents)
            write_index(with_suffix(self.prefix, ".idx"), sizes, self.dtype, documents)


def merge_stores(
    prefixes: Sequence[Path], out: Path, dtype: np.dtype[Any], kept: Sequence[npt.NDArray[np.bool_] | None] = ()
) -> None:
    """Concatenate stores of one dtype into one.

    Args:
        prefixes: Of the stores.
        out: Of the one to write.
        dtype: Of the tokens.
        kept: Which items of each store to take, None for all; empty takes all of all.
    """
    with StoreWriter(out, dtype) as writer:
        for prefix, mask in zip(prefixes, kept or [None] * len(prefixes), strict=True):
            writer.append_store(open_store(prefix), mask)
