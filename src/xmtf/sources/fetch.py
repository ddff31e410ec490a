"""Bring sources into a mirror, so that a machine without a network can use them.

What is fetched are the raw rows, before any adapter: one Parquet file a split, under the hub's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from xmtf.alone import in_turn
from xmtf.errors import SourceError
from xmtf.files import atomic_path
from xmtf.sources.mirror import find_in_mirror
from xmtf.sources.read import CLDR, read_raw
from xmtf.sources.reference import SourceRef

__all__ = ["Fetched", "fetch_sources", "sources_to_fetch"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one split.

    Attributes:
        ref: The split.
        path: Its file in the mirror, or None where it could not be had.
        rows: Rows in the file; 0 where it was there before.
        status: ``there``, ``fetched`` or ``failed``.
        problem: Why it failed, or ``""``.
    """

    ref: SourceRef
    path: Path | None
    rows: int
    status: str
    problem: str = ""


def sources_to_fetch(refs: Iterable[SourceRef]) -> tuple[SourceRef, ...]:
    """Return the refs that a mirror can hold, each place once: no own files, nothing made from CLDR."""
    places = {ref.where: ref for ref in refs if ref.path is None and not ref.dataset.startswith(CLDR)}
    return tuple(places.values())


def fetch_sources(
    refs: Iterable[SourceRef],
    to: Path,
    *,
    offline: bool = False,
    progress: Callable[[Fetched], None] = lambda fetched: None,
) -> tuple[Fetched, ...]:
    """Bring splits into the mirror at ``to``; what is there stays, what fails is reported, the rest goes on.

    Args:
        refs: What to bring.
        to: Folder of the mirror.
        offline: Only copy from the mirror in use and the hub's cache.
        progress: Called after every split.
    """
    results = []
    for ref in sources_to_fetch(refs):
        fetched = _fetch(ref, to, offline=offline)
        progress(fetched)
        results.append(fetched)
    return tuple(results)


def _fetch(ref: SourceRef, to: Path, *, offline: bool) -> Fetched:
    if "*" in ref.subset:
        return Fetched(ref, None, 0, "failed", "a pattern of subsets cannot be fetched; name the subsets")
    dataset, subset, split = ref.where
    path = to / dataset / subset / f"{split}.parquet"
    if there := find_in_mirror(ref, to):
        return Fetched(ref, there[0], 0, "there")
    with in_turn(path):
        if there := find_in_mirror(ref, to):  # another process has brought it meanwhile
            return Fetched(ref, there[0], 0, "there")
        try:
            table, _ = read_raw(ref, offline=offline)
        except SourceError as error:
            return Fetched(ref, None, 0, "failed", str(error))
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
    return Fetched(ref, path, table.num_rows, "fetched")
