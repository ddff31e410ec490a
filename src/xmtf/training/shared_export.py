"""The export of a model by all processes that trained it: each writes files of its own, a tensor at a time.

::

    .model.work/                           next to model/, kept where the processes are killed
      .xmtf.json                           {"stage": "export", "training": hash of what is exported}
      model-00001-of-00003.safetensors     written atomically, by one process each
      model-00001-of-00003.sha256          its hash, from just after that; such a file is not written again
    model/                                 all of it, the index last, once every file is there

The files are those that one process would write, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xmtf.artefacts.checksums import remember_sha256
from xmtf.artefacts.ownership import MARKER, work_beside, write_marker
from xmtf.errors import DataError
from xmtf.files import content_hash, discard_folder, file_sha256, link_or_copy, read_json, write_text
from xmtf.models.bloom import Bloom
from xmtf.models.files import weights
from xmtf.models.files.streamed import ToWrite, write_streamed
from xmtf.models.hub.network import PREFIX, HubNetwork
from xmtf.models.mt5 import MT5
from xmtf.models.save import converted, copy_tokenizer, keep_stops, save_about, stored_name
from xmtf.parallel.topology.ranks import Ranks
from xmtf.recipe import Recipe
from xmtf.training.checkpoint.checkpoint import weight_reader
from xmtf.training.checkpoint.room import check_room
from xmtf.training.checkpoint.state import read_state
from xmtf.training.start import start_model

__all__ = ["SharedExport", "plan_files", "shared_export"]

_HASH = ".sha256"


@dataclass(frozen=True, slots=True)
class SharedExport:
    """The weights of a checkpoint on their way to a model folder.

    Attributes:
        source: The checkpoint.
        model: Its shape, on the meta device.
        work: Folder in which the files wait, on a file system that all processes share.
        dtype: What weights are written in; whole numbers stay what they are.
        files: File -> our names of the tensors in it.
    """

    source: Path
    model: Bloom | MT5 | HubNetwork
    work: Path
    dtype: torch.dtype
    files: Mapping[str, list[str]]

    def write_files(self, ranks: Ranks, *, start_s: float, export_s: float) -> dict[str, str]:
        """Write the weights, every process its files; return the SHA-256 of each file, when all are there.

        Args:
            ranks: The processes; all of them call this.
            start_s: How long the folder is waited for.
            export_s: How long the slowest process is waited for.

        Raises:
            UserError: The disk has no room, as some process sees it.
            DataError: The processes do not share a file system.
        """
        if ranks.first:
            self._claim()
        ranks.wait(start_s, "the folder of the export")
        if not (self.work / MARKER).exists():
            raise DataError(f"{self.work}: is not visible to every process; an export needs a shared file system")
        own = self._own(ranks)
        known = {name: found for name in own if (found := self._written(name)) is not None}
        missing = [name for name in own if name not in known]
        check_room(self.work, sum(self._size(name) for name in missing), ranks, "the model")
        for number, name in enumerate(missing, start=1):
            ranks.at(f"export, file {number} of {len(missing)}")
            known[name] = self._write(name)
        ranks.wait(export_s, "the export")
        hashes = {name: found for of_one in ranks.collect(known) for name, found in of_one.items()}
        absent = sorted(name for name in self.files if not (self.work / name).is_file())
        if absent:
            raise DataError(f"{self.work}: {absent[0]} (and {len(absent) - 1} more) was written but is missing")
        return hashes

    def finish(self, folder: Path, hashes: Mapping[str, str], *, tokenizer: Path) -> None:
        """Put the files into a model folder, with everything that is next to them, the index last."""
        copy_tokenizer(tokenizer, folder)
        for name, found in hashes.items():
            link_or_copy(self.work / name, folder / name)
            remember_sha256(folder / name, found)
        more: dict[str, int] = {}
        if isinstance(self.model, HubNetwork):
            self.model.save_about(folder, self.dtype)
            keep_stops(tokenizer, folder)
            more["total_parameters"] = sum(parameter.numel() for parameter in self.model.parameters())
        else:
            save_about(self.model.config, folder, tokenizer=tokenizer, dtype=self.dtype)
        if len(self.files) > 1:
            stored = {name: [self._rename(key) for key in keys] for name, keys in self.files.items()}
            weights.write_index(folder, stored, sum(map(self._size, self.files)), more)

    def discard(self, folder: Path, hashes: Mapping[str, str]) -> None:
        """Delete the folder in which the files waited, once the model folder has them, too."""
        discard_folder(self.work)
        for name, found in hashes.items():  # a file that loses a name counts as changed
            remember_sha256(folder / name, found)

    def _claim(self) -> None:
        """Mark the folder as that of this export; what another one left in it goes."""
        wanted = content_hash([read_state(self.source).fingerprint, self.source.name, str(self.dtype), self.files])
        marker = self.work / MARKER
        if self.work.is_dir() and not (marker.is_file() and read_json(marker).get("training") == wanted):
            discard_folder(self.work)
        self.work.mkdir(parents=True, exist_ok=True)
        write_marker(self.work, "export", training=wanted)

    def _own(self, ranks: Ranks) -> list[str]:
        """Return the files of this process; of few files the processes are far apart, on other machines."""
        names = list(self.files)
        return [name for index, name in enumerate(names) if index * ranks.size // len(names) == ranks.rank]

    def _size(self, name: str) -> int:
        return sum(tensor.num_bytes for tensor in self._tensors(name).values())

    def _tensors(self, name: str) -> dict[str, ToWrite]:
        state = self.model.state_dict()
        return {self._rename(key): self._to_write(state[key]) for key in self.files[name]}

    def _to_write(self, tensor: Tensor) -> ToWrite:
        return ToWrite(self.dtype if tensor.is_floating_point() else tensor.dtype, tuple(tensor.shape))

    def _rename(self, name: str) -> str:
        if isinstance(self.model, HubNetwork):
            return name.removeprefix(PREFIX)
        return stored_name(self.model.config)(name)

    def _written(self, name: str) -> str | None:
        """Return the hash of a file that an earlier attempt wrote, and that holds what it wrote."""
        path, note = self.work / name, (self.work / name).with_suffix(_HASH)
        if not (path.is_file() and note.is_file()):
            return None
        found = note.read_text(encoding="ascii").strip()
        return found if file_sha256(path) == found else None

    def _write(self, name: str) -> str:
        ours, read = {self._rename(key): key for key in self.files[name]}, weight_reader(self.source, self.model)

        def tensor(stored: str) -> Tensor:
            return converted(stored, read(ours[stored]), self.dtype)

        found = write_streamed(self.work / name, self._tensors(name), tensor)
        write_text((self.work / name).with_suffix(_HASH), found)
        return found


def shared_export(source: Path, out: Path, recipe: Recipe, *, base: str, dtype: torch.dtype) -> SharedExport | None:
    """Return how processes export a checkpoint together; None for models that one of them puts together in memory.

    Those are models with adapters, and those of transformers whose weights it changes as it loads or saves them.

    Args:
        source: The checkpoint, written under any layout.
        out: The model folder.
        recipe: What was trained.
        base: What training started from.
        dtype: Number format of the weights.
    """
    if recipe.model.lora is not None:
        return None
    start = start_model(base, recipe.model, seed=recipe.seed, offline=recipe.offline, in_pieces=True)
    files = None if start.stored is None else plan_files(start.model, dtype)
    return None if files is None else SharedExport(source, start.model, work_beside(out), dtype, files)


def plan_files(
    model: Bloom | MT5 | HubNetwork, dtype: torch.dtype, shard_bytes: int = weights.SHARD_BYTES
) -> dict[str, list[str]] | None:
    """Return the files of a model, and our names of the tensors in each; None where only the whole model can be saved.

    Args:
        model: Its shape.
        dtype: What weights are written in.
        shard_bytes: Larger models are written as several files.
    """
    if isinstance(model, HubNetwork):
        from xmtf.models.hub.files import plan_hub_files, stored_tensors  # half a second of transformers

        tensors = stored_tensors(model)
        return None if tensors is None else plan_hub_files(tensors, dtype, shard_bytes)
    sizes = {name: parameter.numel() * dtype.itemsize for name, parameter in model.named_parameters()}
    return weights.plan_weight_files(sizes, shard_bytes)
