"""Whether the disk has room, as every process sees it: each may have another one mounted, or another quota."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from xmtf.errors import UserError
from xmtf.parallel.topology.ranks import ALONE, Ranks

__all__ = ["check_room"]

_SPARE_BYTES = 2**20
"""For what is written with it: states, manifests, folders."""


def check_room(folder: Path, own_bytes: int, ranks: Ranks = ALONE, what: str = "a checkpoint") -> None:
    """Refuse to begin to write what the disk cannot hold.

    Args:
        folder: Where it is written; made where it is missing.
        own_bytes: What this process is going to write.
        ranks: The processes that write together; all of them call this.
        what: What is written, for the error.

    Raises:
        UserError: There is too little room; names the machine where the least is free.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = ranks.collect((shutil.disk_usage(folder).free, platform.node(), own_bytes))
    needed = sum(num_bytes for _, _, num_bytes in found) * 1.01 + _SPARE_BYTES
    free, host, _ = min(found)
    if free < needed:
        where = f" on {host}" if ranks.size > 1 else ""
        raise UserError(
            f"{folder}: {what} takes {_size(needed)} and the disk has {_size(free)} left{where}; "
            "free some space and run the same command again to resume"
        )


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"
