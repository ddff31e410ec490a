"""Pieces of tensors in and out of safetensors files, through torch.distributed.checkpoint.

Every process writes one file with its pieces; the header of the file says where in the whole each
piece lies. A piece that several processes hold is written by one of them. Whoever reads asks for other
pieces, and gets the overlapping parts of whatever files there are: that is how a checkpoint of one
layout is read under another. Nothing is pickled into a file.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

from xmtf.errors import DataError
from xmtf.training.ranks import Ranks

__all__ = ["Shard", "Stored", "read_shards", "read_whole", "stored_tensors", "write_shards"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a folder of files.

    Attributes:
        shape: Of the whole.
        dtype: Of its numbers.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Shard:
    """A piece of a tensor.

    Attributes:
        local: The numbers.
        offset: Where they lie in the whole, one number a dimension.
        shape: Of the whole.
    """

    local: Tensor
    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor) -> Shard:
        """Return a tensor as the only piece of itself."""
        return cls(tensor, (0,) * tensor.ndim, tuple(tensor.shape))

    def chunks(self) -> list[ChunkStorageMetadata]:
        """Return where the piece lies, as torch.distributed.checkpoint says it; nothing for an empty piece."""
        if self.local.numel() == 0:
            return []
        return [ChunkStorageMetadata(torch.Size(self.offset), self.local.shape)]


class _SavePlanner(DefaultSavePlanner):
    """Torch's planner, which removes copies and shares out the work, for pieces instead of DTensors."""

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan(
            [_write_item(name, shard, chunk) for name, shard in self.state_dict.items() for chunk in shard.chunks()],
            planner_data={},
        )
        return self.plan

    def lookup_object(self, index: MetadataIndex) -> Any:
        return self.state_dict[index.fqn].local


def _write_item(name: str, shard: Shard, chunk: ChunkStorageMetadata) -> WriteItem:
    properties = TensorProperties.create_from_tensor(shard.local)
    data = TensorWriteData(chunk, properties, torch.Size(shard.shape))
    return WriteItem(MetadataIndex(name, chunk.offsets), WriteItemType.SHARD, tensor_data=data)


class _LoadPlanner(DefaultLoadPlanner):
    """Torch's planner, which finds the overlapping parts, for pieces instead of DTensors."""

    def set_up_planner(
        self, state_dict: dict[str, Any], metadata: Metadata | None = None, is_coordinator: bool = False
    ) -> None:
        self.state_dict, self.metadata, self.is_coordinator = state_dict, metadata, is_coordinator

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        items = []
        for name, shard in self.state_dict.items():
            stored = self.metadata.state_dict_metadata[name]
            assert isinstance(stored, TensorStorageMetadata)
            items += create_read_items_for_chunk_list(name, stored, shard.chunks())
        return LoadPlan(items)

    def lookup_tensor(self, index: MetadataIndex) -> Tensor:
        tensor: Tensor = self.state_dict[index.fqn].local
        return tensor


def write_shards(folder: Path, shards: Mapping[str, Shard], ranks: Ranks) -> None:
    """Write the pieces of all processes; returns on each of them when all are on disk.

    Args:
        folder: On a file system that all processes share.
        shards: This process's pieces by name of the tensor.
        ranks: The processes; all of them call this.
    """
    alone = ranks.size == 1
    with _quiet():
        state_dict_saver.save(
            dict(shards),
            storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=not alone),
            planner=_SavePlanner(),
            process_group=ranks.group,
            no_dist=alone,
        )
    for path in folder.iterdir() if ranks.first else ():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def stored_tensors(folder: Path) -> dict[str, Stored]:
    """Return shape and type of every tensor in a folder, from the headers of its files.

    Raises:
        DataError: Some part of a tensor is in no file.
    """
    result = {}
    for name, entry in _metadata(folder).items():
        if sum(prod(chunk.sizes) for chunk in entry.chunks) != prod(entry.size):
            raise DataError(f"{folder}: part of {name} is in none of its files; a file of another process is missing")
        result[name] = Stored(tuple(entry.size), entry.properties.dtype)
    return result


def read_shards(folder: Path, shards: Mapping[str, Shard]) -> None:
    """Fill pieces from whatever pieces a folder holds; each process reads what it needs, for itself."""
    with _quiet():
        state_dict_loader.load(
            dict(shards),
            storage_reader=HuggingFaceStorageReader(str(folder)),
            planner=_LoadPlanner(),
            no_dist=True,
        )


def read_whole(folder: Path, prefix: str = "") -> dict[str, Tensor]:
    """Return whole tensors on the CPU, put together from the pieces in a folder.

    Args:
        folder: Of a checkpoint, written under any layout.
        prefix: Only tensors whose name begins so; it is taken off.
    """
    tensors = {
        name: torch.empty(stored.shape, dtype=stored.dtype)
        for name, stored in stored_tensors(folder).items()
        if name.startswith(prefix)
    }
    read_shards(folder, {name: Shard.whole(tensor) for name, tensor in tensors.items()})
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _metadata(folder: Path) -> dict[str, Any]:
    return dict(HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's note that a process saves or loads for itself: we do so on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
