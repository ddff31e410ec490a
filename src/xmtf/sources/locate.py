"""Where a split is: the user's file, CLDR, the mirror, the hub's cache, the hub; nothing is read yet."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xmtf.errors import MissingSourceError, SourceError
from xmtf.sources import hub
from xmtf.sources.hub import converted, prepared
from xmtf.sources.hub.converted import HubSplit
from xmtf.sources.mirror import DATA_ROOT, find_in_mirror, mirror_roots, mirror_splits
from xmtf.sources.reference import SourceRef
from xmtf.sources.sidecar import check_pin, read_sidecar
from xmtf.sources.tables import require_file

__all__ = ["ADVICE", "CLDR", "Located", "Origin", "is_here", "locate", "locate_all", "locate_here"]

CLDR = "cldr/"
"""Prefix of the datasets that are made from CLDR and need neither a file nor a network."""

ADVICE = (
    "fetch it on a machine with network access (`xmtf data fetch RECIPE --to DIR`), "
    f"then set {DATA_ROOT} to that folder, or exclude the task"
)

_THREADS = 8


@dataclass(frozen=True, slots=True)
class Origin:
    """Which version of one dataset per split is from.

    Attributes:
        revision: Branch or reference on the hub; ``""`` where it is not known.
        commit: The commit that it stood for; ``""`` where it is not known.
    """

    revision: str = ""
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a split is.

    Attributes:
        ref: The split.
        place: ``file`` (the user's), ``cldr``, ``mirror``, ``cache`` (what the hub gave before) or ``hub``.
        files: On this machine, in order; empty of CLDR, of what ``datasets`` prepared, and of the hub.
        split: Its files on the hub, where they are known.
        origin: Its version.
        partial: Whether only the beginning of it is there.
        prepared: As ``datasets`` has it.
        licence: Licence of the dataset, where the mirror or who located it says it.
        gated: Whether the hub gives the dataset out on request alone; None where nobody asked.
    """

    ref: SourceRef
    place: Literal["file", "cldr", "mirror", "cache", "hub"]
    files: tuple[Path, ...] = ()
    split: HubSplit | None = None
    origin: Origin = Origin()
    partial: bool = False
    prepared: prepared.Prepared | None = None
    licence: str = ""
    gated: bool | None = None


def locate(ref: SourceRef, *, offline: bool = False, mirror: bool = True) -> Located:
    """Describe where a split is; the first place that has it counts.

    Args:
        ref: The split.
        offline: Never touch the network.
        mirror: Look into the mirror in use, too.

    Raises:
        MissingSourceError: It is nowhere: names where it was searched for and what to do.
        SourceError: A file is not what it was, or the hub fails just now.
    """
    here = locate_here(ref, mirror=mirror)
    return _ask_hub(ref, offline=offline) if here is None else here


def _ask_hub(ref: SourceRef, *, offline: bool) -> Located:
    if ref.note:
        raise MissingSourceError(f"{ref}: {looked(ref)}, and it cannot be downloaded: {ref.note}", ref.note)
    if offline or hub.network_forbidden():
        message = f"{ref}: {looked(ref)}, and network access is disabled (offline): {ADVICE}"
        raise MissingSourceError(message, "not on this machine, and network access is disabled (offline)")
    try:
        split = converted.wanted_split(ref) if ref.revision == hub.CONVERTED else prepared.declared_split(ref)
    except MissingSourceError as error:
        why = str(error).removeprefix(f"{ref}: ")
        raise MissingSourceError(f"{error}; {looked(ref)}: {ADVICE}", why) from error
    except SourceError as error:
        raise SourceError(f"{error}; {looked(ref)}: {ADVICE}") from error
    return Located(
        ref, "hub", split=split, origin=_origin(ref, split), partial=split.partial, gated=split.listing.gated
    )


def locate_here(ref: SourceRef, *, mirror: bool = True) -> Located | None:
    """Describe where on this machine a split is, or None.

    Raises:
        SourceError: The user's own file is not there, or a mirror lacks shards.
    """
    if ref.path is not None:
        paths = tuple(map(Path, ref.own_files))
        resolved = set[Path]()
        for path in paths:
            require_file(path)
            if path.resolve() in resolved:
                raise SourceError(f"{path}: named twice for one split; its rows would count twice")
            resolved.add(path.resolve())
        return Located(ref, "file", paths)
    if ref.dataset.startswith(CLDR):
        return Located(ref, "cldr")
    if mirror and (files := find_in_mirror(ref)):
        check_pin(ref, files)
        beside = [sidecar for path in files if (sidecar := read_sidecar(path)) is not None]
        origins = {Origin(sidecar.revision, sidecar.commit) for sidecar in beside}
        origin = origins.pop() if len(origins) == 1 else Origin()
        partial = any(sidecar.partial for sidecar in beside)
        licence, gated = next(((each.licence, each.gated) for each in beside), ("", None))
        return Located(ref, "mirror", tuple(files), None, origin, partial, licence=licence, gated=gated)
    if ref.revision == hub.CONVERTED:
        split = converted.cached_split(ref)
        files = (split.cached() or []) if split is not None else []
        return Located(ref, "cache", tuple(files), split, _origin(ref, split), split.partial) if split else None
    found = prepared.cached_dataset(ref)
    return Located(ref, "cache", origin=Origin(ref.revision or "", found.commit()), prepared=found) if found else None


def is_here(ref: SourceRef) -> bool:
    """Return whether a split is on this machine; of one that joins subsets, whether all of them are.

    Raises:
        SourceError: As :func:`locate_here`.
    """
    return all(locate_here(part) is not None for part in ref.parts)


def locate_all(refs: Sequence[SourceRef], *, offline: bool = False, mirror: bool = True) -> list[Located | SourceError]:
    """Describe where each split is, or why it is nowhere; the hub is asked about many datasets side by side."""

    def one(ref: SourceRef) -> Located | SourceError:
        try:
            return _ask_hub(ref, offline=offline)
        except SourceError as error:
            return error

    here = [_here_or_error(ref, mirror) for ref in refs]
    if all(here):
        return [found for found in here if found is not None]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="locate") as pool:
        asked = pool.map(lambda pair: pair[0] or one(pair[1]), zip(here, refs, strict=True))
        return list(asked)


def _here_or_error(ref: SourceRef, mirror: bool) -> Located | SourceError | None:
    try:
        return locate_here(ref, mirror=mirror)
    except SourceError as error:
        return error


def looked(ref: SourceRef) -> str:
    """Describe where a split was searched for, and which splits are there instead."""
    roots = mirror_roots()
    dataset, subset, split = ref.where
    path = f"{dataset}/{subset}/{split}" if subset else f"{dataset}/{split}"
    others = mirror_splits(ref)
    has = f" (it has {', '.join(others)})" if others else ""
    places = " and no ".join(f"{root}/{path}.parquet" for root in roots)
    mirror = f"the mirror has no {places}{has}" if roots else f"no mirror is set ({DATA_ROOT})"
    whole = find_in_mirror(replace(ref, flat=True)) if subset and not ref.flat else []
    if whole:
        mirror += (
            f" ({whole[0]} contains all subsets or none, and is read as one with `flat: true` in its catalogue entry)"
        )
    return f"{mirror}, the hub's cache does not have it"


def _origin(ref: SourceRef, split: HubSplit | None) -> Origin:
    if split is None:
        return Origin()
    # of what is pinned, the hub was asked for the commit
    revision = ref.revision or "main" if ref.commit else split.listing.revision
    return Origin(revision, split.listing.commit)
