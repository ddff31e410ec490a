"""Checkpoints that training goes on from: written beside and renamed, checked before they are read.

::

    checkpoints/step-000200/
      model-00001-of-00001.safetensors     weights and optimizer state by parameter name
      model.safetensors.index.json
      state.json                           step, fingerprint, counts; size of every file; written last

Tensors go through ``torch.distributed.checkpoint`` (in one process here; it reshards) into
safetensors, so nothing is pickled. The position in the data and every random draw are functions of
the seed and the step, so the step is all that has to be remembered of them.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xmtf.errors import DataError, UserError
from xmtf.execution import say
from xmtf.files import atomic_folder, read_json, write_json
from xmtf.training.optimizer import load_optimizer_tensors, optimizer_tensors

__all__ = [
    "STATE",
    "Progress",
    "checkpoint_path",
    "find_checkpoint",
    "list_checkpoints",
    "load",
    "load_weights",
    "prune",
    "read_progress",
    "save",
]

STATE = "state.json"
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far training has come.

    Attributes:
        step: Steps done; the next step has this index.
        tokens: Positions computed so far, padding included: the unit of token budgets.
        real_tokens: Positions that were not padding.
        seconds: Wall seconds spent in steps, over all attempts.
        skipped: Steps without an update because the loss or the gradient was not finite.
        best: Highest score of a checkpoint so far, or None; that checkpoint is kept.
        best_step: Steps done when it was measured.
        best_by: What the score is, see :class:`xmtf.training.validation.Watch`.
    """

    step: int = 0
    tokens: int = 0
    real_tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    best: float | None = None
    best_step: int | None = None
    best_by: str = ""


@dataclass(frozen=True, slots=True)
class _State:
    fingerprint: str
    progress: dict[str, Any]
    files: dict[str, int] = field(default_factory=dict)
    schema: int = _SCHEMA


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint after ``step`` steps."""
    return folder / f"step-{step:06d}"


def save(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, fingerprint: str
) -> Path:
    """Write a checkpoint; return its folder.

    Raises:
        UserError: The disk has no room for it; checked before anything is written.
    """
    tensors = _tensors(model, optimizer)
    path = checkpoint_path(folder, progress.step)
    _check_room(folder, sum(tensor.nbytes for tensor in tensors.values()))
    with atomic_folder(path) as temporary:
        _write_tensors(temporary, tensors)
        files = {item.name: item.stat().st_size for item in sorted(temporary.iterdir())}
        write_json(temporary / STATE, asdict(_State(fingerprint, asdict(progress), files)))
    return path


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    """Take over weights and optimizer state of a checkpoint; return how far it had come.

    Raises:
        DataError: The checkpoint is torn, or is of a model of another shape.
    """
    progress = read_progress(path)
    tensors = _read_tensors(path)
    _take_weights(path, model, tensors)
    prefix = "optimizer."
    of_optimizer = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    load_optimizer_tensors(model, optimizer, of_optimizer)
    return progress


def load_weights(path: Path, model: nn.Module) -> None:
    """Take over the weights of a checkpoint alone.

    Raises:
        DataError: The checkpoint is torn, or is of a model of another shape.
    """
    _take_weights(path, model, _read_tensors(path))


def read_progress(path: Path) -> Progress:
    """Return how far a checkpoint had come, without reading its tensors.

    Raises:
        DataError: It is torn or was written by another version.
    """
    return Progress(**_read_state(path).progress)


def _take_weights(path: Path, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    weights = _weights(model)
    found = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    if {name: value.shape for name, value in weights.items()} != {name: value.shape for name, value in found.items()}:
        raise DataError(f"{path}: holds the weights of another model; delete it to train anew")
    with torch.no_grad():
        for name, value in weights.items():
            value.copy_(found[name])


def list_checkpoints(folder: Path, fingerprint: str | None = None) -> list[Path]:
    """Return the whole checkpoints of a folder, oldest first; torn ones are left out.

    Args:
        folder: Folder of checkpoints; may be missing.
        fingerprint: Only checkpoints of this training.
    """
    return [
        path
        for path in sorted(folder.glob("step-*"))
        if _is_whole(path) and fingerprint in (None, _read_state(path).fingerprint)
    ]


def find_checkpoint(folder: Path, fingerprint: str, num_steps: int) -> Path | None:
    """Return the newest whole checkpoint of this training with at most ``num_steps`` steps, or None.

    Checkpoints that do not count are named on stderr with the reason.
    """
    for path in sorted(folder.glob("step-*"), reverse=True):
        if not _is_whole(path):
            say(f"{path}: not whole, passed over")
        elif _read_state(path).fingerprint != fingerprint:
            say(f"{path}: of another recipe, model or data, passed over")
        elif _read_state(path).progress["step"] <= num_steps:
            return path
    return None


def prune(folder: Path, fingerprint: str, keep: int, also: int | None = None) -> None:
    """Delete all but the newest ``keep`` checkpoints of this training, and the one after ``also`` steps."""
    for path in list_checkpoints(folder, fingerprint)[:-keep]:
        if also is None or path != checkpoint_path(folder, also):
            shutil.rmtree(path)


def _is_whole(path: Path) -> bool:
    if not (path / STATE).exists():
        return False
    sizes = _read_state(path).files
    return all((path / name).exists() and (path / name).stat().st_size == size for name, size in sizes.items())


def _read_state(path: Path) -> _State:
    value = read_json(path / STATE)
    if value.get("schema") != _SCHEMA:
        raise DataError(f"{path / STATE}: written by another version of xmtf; delete {path} to train anew")
    return _State(**value)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Return what trains and kept buffers by name, each tied tensor once; frozen weights are those of the start."""
    seen: set[int] = set()
    result = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        frozen = isinstance(tensor, nn.Parameter) and not tensor.requires_grad
        if id(tensor) not in seen and not frozen:
            seen.add(id(tensor))
            result[name] = tensor.detach()
    return result


def _tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    of_model = {f"model.{name}": tensor for name, tensor in _weights(model).items()}
    return of_model | {f"optimizer.{name}": value for name, value in optimizer_tensors(model, optimizer).items()}


def _write_tensors(folder: Path, tensors: dict[str, Tensor]) -> None:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save as save_state

    with _single_process():
        save_state(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder)), no_dist=True)
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load as load_state

    reader = HuggingFaceStorageReader(str(folder))
    tensors: dict[str, Any] = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in reader.read_metadata().state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    with _single_process():
        load_state(tensors, storage_reader=reader, no_dist=True)
    return tensors


@contextmanager
def _single_process() -> Iterator[None]:
    """Silence torch's note that it saves and loads in a single process: we do so on purpose."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _check_room(folder: Path, num_bytes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < num_bytes * 1.01 + 2**20:
        raise UserError(
            f"{folder}: a checkpoint takes {num_bytes / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB left; free "
            "some space and run the same command again to go on"
        )
