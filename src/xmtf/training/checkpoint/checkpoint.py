"""Checkpoints that training resumes from: written next to and renamed, checked before they are read.

::

    checkpoints/step-000200/
      model-00001-of-00001.safetensors             weights and optimizer state by parameter name, of one process;
      shard-00001-model-00001-of-00001.safetensors    of several, a file each
      state.json                                   step, fingerprint, counts; size and hash of every file; written last

Names and shapes are those of the whole model, so a checkpoint is read under any layout
(:mod:`xmtf.training.checkpoint.shards`). The position in the data and every random draw are functions of the seed
and the step, so the step is all that has to be remembered of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from xmtf.errors import DataError
from xmtf.execution import warn
from xmtf.files import discard_folder, sweep
from xmtf.guards.unfinished import replace_folder, temporary_folder
from xmtf.parallel.pieces import Piece, as_piece
from xmtf.parallel.topology.ranks import ALONE, Ranks
from xmtf.training.checkpoint.optimizer_state import load_optimizer_tensors, optimizer_tensors
from xmtf.training.checkpoint.room import check_room
from xmtf.training.checkpoint.shards import Shard, ShardReader, Stored, write_shards
from xmtf.training.checkpoint.state import STATE, State, TrainingProgress, damaged, read_state, require_whole, torn
from xmtf.training.optim.eight_bit import Average, as_eight_bit
from xmtf.training.parallel.layout import Layout

__all__ = [
    "checkpoint_folders",
    "checkpoint_path",
    "find_checkpoint",
    "inspect_checkpoint",
    "list_checkpoints",
    "load",
    "load_weights",
    "prune",
    "read_progress",
    "read_weights",
    "save",
    "shards_of",
    "sweep_checkpoints",
    "tensor_shapes",
    "weight_reader",
    "write",
]


def checkpoint_path(folder: Path, step: int) -> Path:
    """Return the folder of the checkpoint after ``step`` steps."""
    return folder / f"step-{step:06d}"


def save(
    folder: Path,
    model: nn.Module | Layout,
    optimizer: torch.optim.Optimizer,
    progress: TrainingProgress,
    fingerprint: str,
    ranks: Ranks = ALONE,
) -> Path:
    """Write a checkpoint; return its folder.

    Args:
        folder: Folder of checkpoints, on a file system that all processes share.
        model: What this process holds of the model.
        optimizer: Of what it holds.
        progress: How far training has come.
        fingerprint: Names the training.
        ranks: The processes that hold the model together; all of them call this.

    Raises:
        UserError: The disk has no room for it; checked before anything is written.
        DataError: The processes do not share a file system.
    """
    return write(folder, shards_of(model, optimizer), progress, fingerprint, ranks)


def write(
    folder: Path, shards: dict[str, Shard], progress: TrainingProgress, fingerprint: str, ranks: Ranks = ALONE
) -> Path:
    """Write a checkpoint of pieces that :func:`shards_of` returned; see :func:`save`."""
    path = checkpoint_path(folder, progress.step)
    check_room(folder, _own_bytes(shards, ranks), ranks)
    with temporary_folder(path) if ranks.first else nullcontext(path) as own:
        temporary = ranks.collect(own)[0]
        written = ranks.collect(write_shards(temporary, shards, ranks))
        if ranks.first:
            hashes = {name: digest for of_one in written for name, digest in of_one.items()}
            files = {item.name: item.stat().st_size for item in sorted(temporary.iterdir())}
            missing = sorted(hashes.keys() - files.keys())
            if missing:
                raise DataError(
                    f"{temporary}: {missing[0]} (and {len(missing) - 1} more), which another process wrote, is "
                    f"missing; checkpoints need a file system shared by all processes"
                )
            State(fingerprint, progress, files, hashes).write(temporary)
            replace_folder(temporary, path)
    ranks.wait()
    return path


def _own_bytes(shards: dict[str, Shard], ranks: Ranks) -> int:
    """Return the bytes of this process in a checkpoint; of pieces that several hold, one of them has the bytes."""
    held = {name: (tuple(shard.offset), shard.local.nbytes) for name, shard in shards.items()}
    earlier = {(name, offset) for of_one in ranks.collect(held)[: ranks.rank] for name, (offset, _) in of_one.items()}
    return sum(num_bytes for name, (offset, num_bytes) in held.items() if (name, offset) not in earlier)


def shards_of(model: nn.Module | Layout, optimizer: torch.optim.Optimizer, *, copy: bool = False) -> dict[str, Shard]:
    """Return what this process holds of weights and optimizer state, by name in the checkpoint.

    Args:
        model: What it holds.
        optimizer: Of what it holds.
        copy: Copy to the CPU, so that training can continue while the pieces are written.
    """
    pieces = _pieces(model)
    shards = {f"model.{name}": Shard.whole(buffer) for name, buffer in _buffers(model).items()}
    for name, piece in pieces.items():
        shards[f"model.{name}"] = Shard(piece.local.detach(), piece.offset, piece.shape)
    for path, tensor in optimizer_tensors(model, optimizer).items():
        name, _, key = path.rpartition("/")
        shards[f"optimizer.{path}"] = _of_state(pieces[name], key, tensor)
    if copy:
        return {name: Shard(_copied(shard.local), shard.offset, shard.shape) for name, shard in shards.items()}
    return shards


def load(path: Path, model: nn.Module | Layout, optimizer: torch.optim.Optimizer) -> TrainingProgress:
    """Take over weights and optimizer state of a checkpoint; return how far it had come.

    Each process reads its own pieces, straight into their place.

    Args:
        path: The checkpoint, written under any layout; :func:`find_checkpoint` has looked at its bytes.
        model: What this process holds of the model.
        optimizer: Of what it holds.

    Raises:
        DataError: The checkpoint is torn, or is of a model of another shape.
    """
    progress = read_progress(path)
    reader = ShardReader(path)
    shards, pieces = _weight_shards(path, model, reader.stored), _pieces(model)
    state: dict[str, Tensor] = {}
    one_by_one = as_eight_bit(optimizer) is not None  # together their numbers are four times what becomes of them
    for full, entry in reader.stored.items():
        name, _, key = full.removeprefix("optimizer.").rpartition("/")
        if not full.startswith("optimizer.") or name not in pieces:
            continue
        if key.startswith("absmax"):
            raise DataError(
                f"{path}: an earlier version of xmtf wrote its `adamw_8bit`; delete it to train from scratch"
            )
        tensor = _empty_state(pieces[name], key, entry)
        shard = _of_state(pieces[name], key, tensor)
        if one_by_one:
            reader.fill({full: shard})
            load_optimizer_tensors(model, optimizer, {f"{name}/{key}": tensor})
        else:
            state[f"{name}/{key}"] = tensor
            shards[full] = shard
    reader.fill(shards)
    load_optimizer_tensors(model, optimizer, state)
    _after_loading(model)
    return progress


def load_weights(path: Path, model: nn.Module | Layout) -> None:
    """Take over the weights of a checkpoint alone.

    Raises:
        DataError: The checkpoint is torn, or is of a model of another shape.
    """
    read_progress(path)
    reader = ShardReader(path)
    reader.fill(_weight_shards(path, model, reader.stored))
    _after_loading(model)


def read_weights(path: Path, model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield name and weight of each parameter, whole, one after the other.

    Args:
        path: The checkpoint, written under any layout.
        model: Its shape, on the meta device.

    Raises:
        DataError: The checkpoint is torn, or is of a model of another shape.
    """
    read = weight_reader(path, model)
    for name, _ in model.named_parameters():
        yield name, read(name)


def weight_reader(path: Path, model: nn.Module) -> Callable[[str], Tensor]:
    """Return what reads a weight, whole, by its name; arguments and errors as of :func:`read_weights`."""
    read_progress(path)
    reader = ShardReader(path)
    _weight_shards(path, model, reader.stored)
    return lambda name: reader.whole(f"model.{name}")


def read_progress(path: Path) -> TrainingProgress:
    """Return how far a checkpoint had come, without reading its tensors.

    Raises:
        DataError: It is torn or was written by another version.
    """
    lacks = torn(path)
    if lacks is not None:
        raise DataError(f"{path}: not a complete checkpoint: {lacks}; use another one")
    return read_state(path).progress


def list_checkpoints(folder: Path, fingerprint: str | None = None) -> list[Path]:
    """Return the whole checkpoints of a folder, oldest first; torn ones are left out.

    Args:
        folder: Folder of checkpoints; may be missing.
        fingerprint: Only checkpoints of this training.
    """
    return [
        path
        for path in checkpoint_folders(folder)
        if torn(path) is None and fingerprint in (None, read_state(path).fingerprint)
    ]


def find_checkpoint(folder: Path, fingerprint: str, num_steps: int, ranks: Ranks = ALONE) -> Path | None:
    """Return the newest whole checkpoint of this training with at most ``num_steps`` steps, or None.

    Its files are read to see that their bytes are those that were written. Checkpoints that do not count are named on
    stderr with the reason.

    Args:
        folder: Folder of checkpoints; may be missing.
        fingerprint: Names the training.
        num_steps: Steps of the whole run.
        ranks: Processes that share the reading; all of them call this.
    """
    for path in reversed(checkpoint_folders(folder)):
        reason = torn(path)
        if reason is None and read_state(path).fingerprint != fingerprint:
            reason = "of another recipe, model or data"
        elif reason is None and read_state(path).progress.step > num_steps:
            continue
        reason = reason or damaged(path, ranks)
        if reason is None:
            return path
        if ranks.first:
            warn(f"{path}: skipped: {reason}")
    return None


def inspect_checkpoint(path: Path, *, check: bool) -> tuple[TrainingProgress, dict[str, list[int]]] | None:
    """Return how far a checkpoint had come and the shapes of its tensors; None for a folder that is none of ours.

    Args:
        path: The folder.
        check: Read all files and compare them with what was written.

    Raises:
        DataError: The checkpoint is torn, or with ``check`` damaged.
    """
    if not (path / STATE).exists():
        return None
    if check:
        require_whole(path)
    return read_progress(path), tensor_shapes(path)


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Return name -> shape of every tensor of a checkpoint, from the files' headers alone; pieces are put together.

    Raises:
        DataError: Part of a tensor is in none of the files.
    """
    return {name: list(stored.shape) for name, stored in sorted(ShardReader(path).stored.items())}


def prune(folder: Path, fingerprint: str, keep: int, also: int | None = None) -> None:
    """Delete all but the newest ``keep`` checkpoints of this training, and the one after ``also`` steps."""
    for path in list_checkpoints(folder, fingerprint)[:-keep]:
        if also is None or path != checkpoint_path(folder, also):
            _delete(path)


def _delete(path: Path) -> None:
    """Delete a checkpoint; files that somebody put into its folder stay there."""
    ours = {STATE, *read_state(path).files}
    if {item.name for item in path.iterdir()} <= ours:
        discard_folder(path)
        return
    for name in sorted(ours):
        (path / name).unlink(missing_ok=True)


def sweep_checkpoints(folder: Path) -> None:
    """Delete what killed processes left in a folder of checkpoints that this process alone works in.

    Earlier versions left folders without a state: half written, or half deleted.
    """
    sweep(folder)
    for path in folder.glob(".step-*.saving"):
        discard_folder(path)
    for path in folder.glob("step-*"):
        written = [item.name for item in path.iterdir()] if path.is_dir() else ["a file"]
        if all(name.endswith(".safetensors") for name in written):
            discard_folder(path)


def checkpoint_folders(folder: Path) -> list[Path]:
    """Return the folders of checkpoints in the order of their steps, which may have more digits than others."""
    return sorted(folder.glob("step-*"), key=lambda path: (len(path.name), path.name))


def _pieces(model: nn.Module | Layout) -> dict[str, Piece]:
    """Return what trains; frozen weights are those of the start."""
    if isinstance(model, Layout):
        return {name: piece for name, piece in model.pieces.items() if piece.source.requires_grad}
    return {
        name: as_piece(name, parameter, tuple(parameter.shape))
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def _buffers(model: nn.Module | Layout) -> dict[str, Tensor]:
    """Return the kept buffers, which every process holds whole."""
    part = model.model if isinstance(model, Layout) else model
    kept = part.state_dict(keep_vars=True)
    return {name: buffer for name, buffer in part.named_buffers() if name in kept}


def _weight_shards(path: Path, model: nn.Module | Layout, stored: dict[str, Stored]) -> dict[str, Shard]:
    shards = {f"model.{name}": Shard.whole(buffer) for name, buffer in _buffers(model).items()}
    for name, piece in _pieces(model).items():
        shards[f"model.{name}"] = Shard(piece.local.detach(), piece.offset, piece.shape)
    whole = not (isinstance(model, Layout) and model.mesh.pipe.size > 1)
    others = {name for name in stored if name.startswith("model.")} - shards.keys() if whole else set()
    if others or any(name not in stored or stored[name].shape != shard.shape for name, shard in shards.items()):
        raise DataError(f"{path}: contains the weights of another model; delete it to train from scratch")
    return shards


def _copied(local: Tensor | Average) -> Tensor | Average:
    return local.copied() if isinstance(local, Average) else local.to("cpu", copy=True)


def _of_state(piece: Piece, key: str, tensor: Tensor | Average) -> Shard:
    """Place a tensor of optimizer state: as its parameter, its rows, its columns, or whole (the count of steps)."""
    if key in ("row", "column"):
        dimension = 0 if key == "row" else 1
        return Shard(tensor, (piece.offset[dimension],), (piece.shape[dimension],))
    if tensor.ndim and tensor.shape == piece.local.shape:
        return Shard(tensor, piece.offset, piece.shape)
    return Shard.whole(tensor)


def _empty_state(piece: Piece, key: str, stored: Stored) -> Tensor:
    shape = stored.shape
    if key in ("row", "column"):
        shape = (piece.local.shape[0 if key == "row" else 1],)
    elif stored.shape and stored.shape == piece.shape:
        shape = tuple(piece.local.shape)
    return torch.empty(shape, dtype=stored.dtype, device=piece.local.device)


def _after_loading(model: nn.Module | Layout) -> None:
    if isinstance(model, Layout):
        model.after_update()
