"""Weights on disk: safetensors read without copies and written atomically, sharded where they are large.

Files that hold pickled objects are never unpickled: ``.bin`` files are read by torch with
``weights_only=True``, which accepts tensors and nothing else.
"""

from __future__ import annotations

import os
import pickle  # for its exception only
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from xmtf.errors import DataError
from xmtf.files import atomic_path, content_hash, file_sha256, write_json

__all__ = ["file_mode", "load_weights", "stored_names", "weight_files", "weights_fingerprint", "write_weights"]

_SHARD_BYTES = 5 * 10**9
_NAME = "model"


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a model folder: safetensors, or ``.bin`` where there are none.

    Raises:
        DataError: There are none.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise DataError(f"{folder}: there are no weights (*.safetensors) beside config.json")
    return files


def weights_fingerprint(config: object, files: list[Path]) -> str:
    """Return a hash of a configuration and weight files.

    In the hub's cache a file is a link to a blob that is named by its SHA-256; that name is used as it is.
    """
    return content_hash({"config": config, "files": {path.name: _sha256(path) for path in files}})


def _sha256(path: Path) -> str:
    name = path.resolve().name
    if path.is_symlink() and len(name) == 64 and all(c in "0123456789abcdef" for c in name):
        return name
    return file_sha256(path)


def _read_bin(path: Path, device: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{path}: not a file of tensors alone, or torn; nothing else is read from it ({reason})"
        ) from None
    return tensors


def _tensors(path: Path, device: str) -> Iterator[tuple[str, Tensor]]:
    if path.suffix == ".bin":
        yield from _read_bin(path, device).items()
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device=device) as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise DataError(f"{path}: not a whole safetensors file ({error})") from None


def stored_names(folder: Path) -> set[str]:
    """Return the names of all tensors in a folder's weight files, without reading the tensors."""
    from safetensors import safe_open

    names: set[str] = set()
    for path in weight_files(folder):
        if path.suffix == ".bin":
            names.update(_read_bin(path, "meta"))
        else:
            with safe_open(path, framework="pt") as file:
                names.update(file.keys())
    return names


def load_weights(
    model: nn.Module,
    folder: Path,
    own_name: Callable[[str], str | None],
    *,
    device: str,
    dtype: torch.dtype,
) -> None:
    """Give a model on the meta device the weights of a folder.

    Args:
        model: Built under ``torch.device("meta")``; its tensors are replaced.
        folder: Holds the weight files.
        own_name: Name of a stored tensor -> name of a parameter, or None for one that we do not hold.
        device: Where the weights go.
        dtype: What they are converted to.

    Raises:
        DataError: Missing, unknown or misshapen tensors; names the folder and the first of them.
    """
    wanted = {name: parameter.shape for name, parameter in model.named_parameters()}
    state: dict[str, Tensor] = {}
    for path in weight_files(folder):
        for stored, tensor in _tensors(path, device):
            name = own_name(stored)
            if name is None:
                continue
            if name not in wanted:
                raise DataError(f"{path.name} in {folder}: unknown tensor {stored!r}")
            if tensor.shape != wanted[name]:
                shapes = f"{list(tensor.shape)}, config.json says {list(wanted[name])}"
                raise DataError(f"{path.name} in {folder}: {stored!r} has shape {shapes}")
            state[name] = tensor.to(dtype)
    missing = [name for name in wanted if name not in state]
    if missing:
        raise DataError(f"{folder}: the weights lack {missing[0]!r} (and {len(missing) - 1} more)")
    model.load_state_dict(state, strict=False, assign=True)


def write_weights(folder: Path, tensors: Mapping[str, Tensor], *, shard_bytes: int = _SHARD_BYTES) -> list[str]:
    """Write tensors as safetensors, each file atomically; return the names of the files.

    Args:
        folder: Where to write; older weights in it are removed.
        tensors: Name in transformers -> tensor; no two may share memory.
        shard_bytes: Larger models are written as several files and an index.
    """
    shards = _shards(tensors, shard_bytes)
    total = len(shards)
    names = (
        [f"{_NAME}.safetensors"]
        if total == 1
        else [f"{_NAME}-{i + 1:05d}-of-{total:05d}.safetensors" for i in range(total)]
    )
    for name, shard in zip(names, shards, strict=True):
        _write_shard(folder / name, {key: tensors[key] for key in shard})
    index = f"{_NAME}.safetensors.index.json"
    if total > 1:
        size = sum(tensor.nbytes for tensor in tensors.values())
        where = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
        write_json(folder / index, {"metadata": {"total_size": size}, "weight_map": where})
        names.append(index)
    for old in folder.glob(f"{_NAME}*.safetensors*"):
        if old.name not in names:
            old.unlink()
    return names


def _shards(tensors: Mapping[str, Tensor], shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    used = 0
    for name, tensor in tensors.items():
        if shards[-1] and used + tensor.nbytes > shard_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += tensor.nbytes
    return shards


def _write_shard(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_file(whole, temporary, metadata={"format": "pt"})
        temporary.chmod(file_mode(path.parent))


def file_mode(folder: Path) -> int:
    """Return the mode that new files get in a folder; safetensors makes files that only their owner may read."""
    probe = folder / f".mode-{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mode
    finally:
        probe.unlink()
