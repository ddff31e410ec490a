"""The ``state.json`` of a checkpoint: how far training had come, and what its files have to be.

The size of every file tells whether one is missing or cut short, at the cost of looking at the folder. The hash of
every shard (128 bits of xxh3, taken by the process that writes it as it writes it) tells whether its bytes are still
those that were written; a file is read to find out, once, by one of the processes. ``state.json`` itself carries the
hash of what it says.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import xxhash

from xmtf.errors import DataError
from xmtf.files import content_hash, write_json
from xmtf.json_types import JsonObject
from xmtf.parallel.topology.ranks import ALONE, Ranks

__all__ = ["STATE", "State", "TrainingProgress", "damaged", "read_state", "require_whole", "torn"]

STATE = "state.json"
_SCHEMA = 1
_BLOCK_BYTES = 2**22
_CHANGED = "does not match its recorded checksum"


@dataclass(frozen=True, slots=True)
class TrainingProgress:
    """How far training has come.

    Attributes:
        step: Steps done; the next step has this index.
        tokens: Positions computed so far, padding included: the unit of token budgets.
        real_tokens: Positions that were not padding.
        seconds: Wall seconds spent in steps, over all attempts.
        skipped: Steps without an update because the loss or the gradient was not finite.
        best: Highest score of a checkpoint so far, or None; that checkpoint is kept.
        best_step: Steps done when it was measured.
        best_by: What the score is, see :class:`xmtf.training.loop.validation.Watch`.
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
class State:
    """What ``state.json`` says.

    Attributes:
        fingerprint: Names the training.
        progress: How far it had come.
        files: Name -> bytes of every file.
        hashes: Name -> hash of every shard; empty in checkpoints of earlier versions, whose bytes are not checked.
    """

    fingerprint: str
    progress: TrainingProgress
    files: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it into the folder of a checkpoint."""
        value = asdict(self) | {"schema": _SCHEMA}
        write_json(folder / STATE, value | {"hash": content_hash(value)})


def read_state(path: Path) -> State:
    """Return the state of a checkpoint.

    Raises:
        DataError: It was changed or cut short, or was written by another version.
    """
    value = _stored(path)
    if value is None:
        raise DataError(f"{path / STATE}: {_CHANGED}; use another checkpoint")
    if value.pop("schema", None) != _SCHEMA:
        raise DataError(f"{path / STATE}: written by another version of xmtf; delete {path} to train from scratch")
    return State(**value | {"progress": TrainingProgress(**value["progress"])})


def _stored(path: Path) -> JsonObject | None:
    """Return what the ``state.json`` of a checkpoint says, or None where that is not what was written.

    Those of earlier versions have no hash; all that is known of them is that they can be read.
    """
    try:
        value = orjson.loads((path / STATE).read_bytes())
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or not value.keys() <= {*State.__dataclass_fields__, "schema", "hash"}:
        return None
    written = value.pop("hash", None)
    return value if written in (None, content_hash(value)) else None


def torn(path: Path) -> str | None:
    """Return what a checkpoint lacks, or None where its files are there and as long as they were."""
    if not (path / STATE).exists():
        return f"{STATE} is missing"
    if _stored(path) is None:
        return f"{STATE} {_CHANGED}"
    for name, size in read_state(path).files.items():
        if not (path / name).exists():
            return f"{name} is missing"
        found = (path / name).stat().st_size
        if found != size:
            return f"{name} has {found:,} of {size:,} bytes"
    return None


def damaged(path: Path, ranks: Ranks = ALONE) -> str | None:
    """Return what of a checkpoint was changed or cut short, or None; reads every shard.

    Args:
        path: A checkpoint that is not torn.
        ranks: Processes that share the reading: each file is read by one of them, and all are told; all call this.
    """
    hashes = read_state(path).hashes
    wrong = [name for _, name in ranks.share(sorted(hashes)) if _hash(path / name) != hashes[name]]
    found = sorted(name for names in ranks.collect(wrong) for name in names)
    if not found:
        return None
    others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{found[0]}{others} {_CHANGED}"


def require_whole(path: Path, ranks: Ranks = ALONE) -> None:
    """Refuse a checkpoint that is torn or damaged.

    Args:
        path: The checkpoint.
        ranks: As for :func:`damaged`.

    Raises:
        DataError: Names the file.
    """
    lacks = torn(path) or damaged(path, ranks)
    if lacks is not None:
        raise DataError(f"{path}: not a complete checkpoint: {lacks}; use another one")


def _hash(path: Path) -> str | None:
    """Return the hash of a file, or None where the disk does not give it back."""
    digest = xxhash.xxh3_128()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
