"""Weights on disk: safetensors read without copies and written atomically, sharded where they are large.

Files that hold pickled objects are never unpickled: ``.bin`` files are read by torch with
``weights_only=True``, which accepts tensors and nothing else.
"""

from __future__ import annotations

import pickle  # for its exception only
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xmtf.errors import DataError
from xmtf.files import atomic_path, content_hash, file_sha256, write_json
from xmtf.guards.unfinished import temporary_file

__all__ = [
    "SHARD_BYTES",
    "file_mode",
    "plan_weight_files",
    "read_pickled_tensors",
    "weight_files",
    "weights_fingerprint",
    "write_index",
    "write_weights",
]

_TORN = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ImportError,
    OverflowError,
    MemoryError,
)
"""What readers of torch and zip raise where bytes of a file are not what they were."""
SHARD_BYTES = 5 * 10**9
"""Larger models are written as several files."""
_NAME = "model"


def weight_files(folder: Path) -> list[Path]:
    """Return the weight files of a model folder: safetensors, or ``.bin`` where there are none.

    Raises:
        DataError: There are none.
    """
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise DataError(f"{folder}: there are no weights (*.safetensors) next to config.json")
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


def read_pickled_tensors(path: Path, device: str = "cpu", *, plain: Iterable[type] = (), checked: bool = False) -> Any:
    """Return what a file of ``torch.save`` holds, unpickled by torch with ``weights_only=True``.

    On the CPU, files of torch 1.6 or later are mapped into memory: tensors are read when they are used.

    Args:
        path: The file.
        device: Where tensors go.
        plain: More types that may be in it; only such as hold attributes and do nothing.
        checked: Read the whole file and compare it with the checksums that files of torch 1.6 or later have.

    Raises:
        DataError: It holds other objects than tensors and plain containers of them, or is torn.
    """
    if checked:
        _check_sums(path)
    try:
        mapped = device == "cpu" and zipfile.is_zipfile(path)
        with torch.serialization.safe_globals(list(plain)):
            return torch.load(path, map_location=device, weights_only=True, mmap=mapped or None)
    except _TORN as error:
        raise DataError(
            f"{path}: not a file of plain tensors, or cut short; nothing else is read from it ({_reason(error)})"
        ) from None


def _check_sums(path: Path) -> None:
    """Refuse a zip file whose content has changed since it was written.

    Raises:
        DataError: Names the part.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            torn = archive.testzip()
    except _TORN as error:
        raise DataError(f"{path}: damaged ({error}); copy it again") from None
    if torn is not None:
        raise DataError(f"{path}: damaged (the checksum of {torn} does not match); copy it again")


def _reason(error: Exception) -> str:
    """Return the line of torch's message that says what is wrong, without its advice to load it all the same."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if "Unsupported" in line]
    return (
        (named or lines or [type(error).__name__])[0].removeprefix("WeightsUnpickler error: ").split(" was not an")[0]
    )


def tensors_of(path: Path, device: str) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of a weight file.

    Raises:
        DataError: Not a complete file of tensors alone.
    """
    if path.suffix == ".bin":
        yield from read_pickled_tensors(path, device).items()
        return

    try:
        with safe_open(path, framework="pt", device=device) as file:
            for name in file.keys():  # noqa: SIM118 - not a mapping
                yield name, file.get_tensor(name)
    except SafetensorError as error:
        raise DataError(f"{path}: incomplete or damaged safetensors file ({error})") from None


def write_weights(
    folder: Path, tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], *, shard_bytes: int = SHARD_BYTES
) -> list[str]:
    """Write tensors as safetensors, each file atomically; return the names of the files.

    Args:
        folder: Where to write; older weights in it are removed.
        tensors: Name in transformers -> tensor; no two may share memory. Pairs are taken as they come, and no more
            of them are held than one file takes.
        shard_bytes: Larger models are written as several files and an index.
    """
    pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
    for old in folder.glob(f".{_NAME}-*.part"):
        old.unlink()
    parts: list[tuple[Path, list[str], int]] = []
    for shard in _shards(pairs, shard_bytes):
        part = folder / f".{_NAME}-{len(parts)}.part"
        write_tensors(part, shard)
        parts.append((part, list(shard), sum(tensor.nbytes for tensor in shard.values())))
    names = _file_names(len(parts))
    for name, (part, _, _) in zip(names, parts, strict=True):
        part.replace(folder / name)
    if len(parts) > 1:
        keys = {name: keys for name, (_, keys, _) in zip(names, parts, strict=True)}
        names.append(write_index(folder, keys, sum(num_bytes for _, _, num_bytes in parts)))
    for old in folder.glob(f"{_NAME}*.safetensors*"):
        if old.name not in names:
            old.unlink()
    return names


def _file_names(total: int) -> list[str]:
    return [_NAME + (f"-{i + 1:05d}-of-{total:05d}" if total > 1 else "") + ".safetensors" for i in range(total)]


def plan_weight_files(sizes: Mapping[str, int], shard_bytes: int = SHARD_BYTES) -> dict[str, list[str]]:
    """Return the files that :func:`write_weights` would write, and which tensors would be in each.

    Args:
        sizes: Bytes of each tensor, in order.
        shard_bytes: As for :func:`write_weights`.
    """
    files: list[list[str]] = []
    used = 0
    for name, num_bytes in sizes.items():
        if not files or used + num_bytes > shard_bytes:
            files.append([])
            used = 0
        files[-1].append(name)
        used += num_bytes
    return dict(zip(_file_names(len(files)), files, strict=True))


def write_index(
    folder: Path, files: Mapping[str, Iterable[str]], total_bytes: int, more: Mapping[str, int] | None = None
) -> str:
    """Write which tensors are in which of several files, and more counts; return the name of the index."""
    index = f"{_NAME}.safetensors.index.json"
    where = {key: name for name, keys in files.items() for key in keys}
    write_json(folder / index, {"metadata": {"total_size": total_bytes, **(more or {})}, "weight_map": where})
    return index


def _shards(pairs: Iterable[tuple[str, Tensor]], shard_bytes: int) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    used = 0
    for name, tensor in pairs:
        if shard and used + tensor.nbytes > shard_bytes:
            yield shard
            shard, used = {}, 0
        shard[name] = tensor
        used += tensor.nbytes
    yield shard


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write one safetensors file, atomically."""
    with atomic_path(path) as temporary:
        mode = temporary.stat().st_mode
        whole = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
        save_file(whole, temporary, metadata={"format": "pt"})
        temporary.chmod(mode)  # safetensors makes files that only their owner may read


def file_mode(folder: Path) -> int:
    """Return the mode that new files get in a folder; safetensors makes files that only their owner may read."""
    with temporary_file(folder / "mode") as probe:
        return probe.stat().st_mode
