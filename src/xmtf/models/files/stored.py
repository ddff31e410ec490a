"""Weights left in their files: whoever needs a part of a tensor reads that part alone.

A process of a parallel training holds a stage, slices or shards of a model. It builds the shape on the meta
device, cuts it, gives its own part memory and fills it from here; no process ever holds the whole. Files are
mapped into memory, so a part costs the pages that it lies on, and processes of a machine share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from xmtf.errors import DataError
from xmtf.models.files.weights import read_pickled_tensors, weight_files

__all__ = ["FLOATS", "StoredTensors"]

FLOATS = ("F64", "F32", "BF16", "F16", "float64", "float32", "bfloat16", "float16")
"""Kinds of numbers that weights may be stored in, as safetensors and torch name them."""
_BLOCK_ROWS = 2**14


class StoredTensors:
    """The tensors of a model folder under our names.

    Args:
        folder: Holds the weight files.
        own_name: Name of a stored tensor -> name of a parameter, or None for one that we do not hold.

    Attributes:
        folder: As given.
        shapes: Name -> shape of each tensor.
        kinds: Name -> kind of its numbers, such as ``F32``.

    Raises:
        DataError: No weight files, or one of them is torn.
    """

    def __init__(self, folder: Path, own_name: Callable[[str], str | None]) -> None:
        self.folder = folder
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.kinds: dict[str, str] = {}
        self._where: dict[str, tuple[Any, str, Path]] = {}
        for path in weight_files(folder):
            file = _Pickled(path) if path.suffix == ".bin" else _SafeTensors(path)
            kinds = file.kinds()
            for theirs, shape in file.shapes().items():
                name = own_name(theirs)
                if name is not None:
                    self.shapes[name] = shape
                    self.kinds[name] = kinds[theirs]
                    self._where[name] = (file, theirs, path)

    def check(self, wanted: Mapping[str, Sequence[int]]) -> None:
        """Refuse files that are not those of a model.

        Args:
            wanted: Name -> shape of every parameter.

        Raises:
            DataError: Missing, unknown or misshapen tensors; names the folder and the first of them.
        """
        for name, (_, theirs, path) in self._where.items():
            if name not in wanted:
                raise DataError(f"{path.name} in {self.folder}: unknown tensor {theirs!r}")
            if self.kinds[name] not in FLOATS:
                raise DataError(
                    f"{path.name} in {self.folder}: {theirs!r} has dtype {self.kinds[name]}, not one of weights"
                )
            if self.shapes[name] != tuple(wanted[name]):
                shapes = f"{list(self.shapes[name])}, config.json says {list(wanted[name])}"
                raise DataError(f"{path.name} in {self.folder}: {theirs!r} has shape {shapes}")
        missing = [name for name in wanted if name not in self.shapes]
        if missing:
            raise DataError(f"{self.folder}: the weights lack {missing[0]!r} (and {len(missing) - 1} more)")

    def whole(self, name: str) -> Tensor:
        """Return a tensor as it is stored, mapped from its file."""
        file, theirs, _ = self._where[name]
        tensor: Tensor = file.whole(theirs)
        return tensor

    def part(self, name: str, offset: Sequence[int], shape: Sequence[int]) -> Tensor:
        """Return a part of a tensor as it is stored, mapped from its file.

        Args:
            name: Of the tensor.
            offset: Where the part begins, one number a dimension.
            shape: Of the part.
        """
        file, theirs, _ = self._where[name]
        region = tuple(slice(start, start + length) for start, length in zip(offset, shape, strict=True))
        tensor: Tensor = file.part(theirs, region)
        return tensor

    def equal(self, first: str, second: str) -> bool:
        """Return whether two matrices hold the same numbers; some rows are looked at a time."""
        if self.shapes[first] != self.shapes[second]:
            return False
        rows, *rest = self.shapes[first]
        for start in range(0, rows, _BLOCK_ROWS):
            region = ((start, *(0 for _ in rest)), (min(_BLOCK_ROWS, rows - start), *rest))
            if not torch.equal(self.part(first, *region), self.part(second, *region)):
                return False
        return True

    def leave_out(self, name: str) -> None:
        """Forget a tensor."""
        del self.shapes[name], self._where[name]


class _SafeTensors:
    def __init__(self, path: Path) -> None:
        try:
            self._file: Any = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise DataError(f"{path}: incomplete or damaged safetensors file ({error})") from None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._file.keys()}  # noqa: SIM118

    def kinds(self) -> dict[str, str]:
        return {name: str(self._file.get_slice(name).get_dtype()) for name in self._file.keys()}  # noqa: SIM118

    def whole(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def part(self, name: str, region: tuple[slice, ...]) -> Tensor:
        tensor: Tensor = self._file.get_slice(name)[region]
        return tensor


class _Pickled:
    def __init__(self, path: Path) -> None:
        self._tensors: dict[str, Tensor] = read_pickled_tensors(path)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def kinds(self) -> dict[str, str]:
        return {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in self._tensors.items()}

    def whole(self, name: str) -> Tensor:
        return self._tensors[name]

    def part(self, name: str, region: tuple[slice, ...]) -> Tensor:
        return self._tensors[name][region]
