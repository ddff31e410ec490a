"""Pieces of tensors in and out of safetensors files, through torch.distributed.checkpoint.

Every process writes one file with its pieces; the header of the file says where in the whole each
piece lies. A piece that several processes hold is written by one of them. Whoever reads asks for other
pieces, and gets the overlapping parts of whatever files there are: that is how a checkpoint of one
layout is read under another. Nothing is pickled into a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import (
    LoadPlan,
    SavePlan,
    SavePlanner,
    TensorWriteData,
    WriteItem,
    WriteItemType,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult
from torch.futures import Future

from xmtf.errors import DataError
from xmtf.parallel.topology.ranks import Ranks
from xmtf.training.checkpoint.shard_file import write_shard_file
from xmtf.training.optim.eight_bit import Average

__all__ = ["Shard", "ShardReader", "Stored", "write_shards"]


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
        local: The numbers; of an average in 8 bit they are made as it is written.
        offset: Where they lie in the whole, one number a dimension.
        shape: Of the whole.
    """

    local: Tensor | Average
    offset: tuple[int, ...]
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor | Average) -> Shard:
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

    def lookup_object(self, index: MetadataIndex) -> object:
        return self.state_dict[index.fqn].local


def _write_item(name: str, shard: Shard, chunk: ChunkStorageMetadata) -> WriteItem:
    data = TensorWriteData(chunk, TensorProperties(shard.local.dtype), torch.Size(shard.shape))
    return WriteItem(MetadataIndex(name, chunk.offsets), WriteItemType.SHARD, tensor_data=data)


class _LoadPlanner(DefaultLoadPlanner):
    """Torch's planner, which finds the overlapping parts, for pieces instead of DTensors."""

    def set_up_planner(
        self, state_dict: dict[str, object], metadata: Metadata | None = None, is_coordinator: bool = False
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


class _Writer(StorageWriter):
    """Writes the pieces that the plan gives this process as one file; remembers its hash.

    Args:
        path: The file; not made where others write all that this process has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.hashes: dict[str, str] = {}

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        pieces = {}
        for item in plan.items:
            tensor = planner.resolve_data(item)
            assert isinstance(tensor, Tensor | Average)
            assert item.tensor_data is not None
            pieces[item.index.fqn] = (tensor, item.tensor_data.chunk.offsets)
        if pieces:
            self.hashes[self._path.name] = write_shard_file(self._path, pieces)
        written: Future[list[WriteResult]] = Future()
        written.set_result([WriteResult(item.index, 0, None) for item in plan.items])
        return written

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return plans

    def reset(self, checkpoint_id: object = None) -> None:
        """Nothing is kept from one writing to the next."""

    def set_up_storage_writer(self, is_coordinator: bool, *arguments: object, **keywords: object) -> None:
        """The folder is there."""

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Where pieces lie is in the files themselves."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: object) -> bool:
        return True


def write_shards(folder: Path, shards: Mapping[str, Shard], ranks: Ranks) -> dict[str, str]:
    """Write the pieces of all processes; returns on each of them when all are on disk.

    Args:
        folder: On a file system that all processes share.
        shards: This process's pieces by name of the tensor.
        ranks: The processes; all of them call this.

    Returns:
        Name -> hash of the file that this process wrote; nothing where others have all that it has.
    """
    alone = ranks.size == 1
    name = "model-00001-of-00001.safetensors"
    writer = _Writer(folder / (name if alone else f"shard-{ranks.rank + 1:05d}-{name}"))
    with _quiet():
        state_dict_saver.save(
            dict(shards),
            storage_writer=writer,
            planner=_SavePlanner(),
            process_group=ranks.group,
            no_dist=alone,
        )
    return writer.hashes


class ShardReader:
    """The pieces in a folder of files, whose headers are read once.

    Args:
        folder: Of a checkpoint, written under any layout.

    Attributes:
        stored: Shape and type of every tensor.

    Raises:
        DataError: Some part of a tensor is in no file.
    """

    def __init__(self, folder: Path) -> None:
        self._reader = _Reader(str(folder))
        self.stored: dict[str, Stored] = {}
        for name, entry in self._reader.read_metadata().state_dict_metadata.items():
            assert isinstance(entry, TensorStorageMetadata)
            if sum(prod(chunk.sizes) for chunk in entry.chunks) != prod(entry.size):
                raise DataError(f"{folder}: part of {name} is in none of its files; another process's file is missing")
            self.stored[name] = Stored(tuple(entry.size), entry.properties.dtype)

    def fill(self, shards: Mapping[str, Shard]) -> None:
        """Fill pieces from whatever pieces there are; each process reads what it needs, for itself."""
        with _quiet():
            state_dict_loader.load(dict(shards), storage_reader=self._reader, planner=_LoadPlanner(), no_dist=True)

    def whole(self, name: str) -> Tensor:
        """Return a tensor on the CPU, put together from its pieces."""
        stored = self.stored[name]
        tensor = torch.empty(stored.shape, dtype=stored.dtype)
        self.fill({name: Shard.whole(tensor)})
        return tensor


class _Reader(HuggingFaceStorageReader):
    """Torch's reader; reads the headers of the files once."""

    _known: Metadata | None = None

    def read_metadata(self) -> Metadata:
        if self._known is None:
            self._known = super().read_metadata()
        return self._known


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's note that a process saves or loads for itself: we do so on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
