"""Read a split from wherever it is: the user's file, CLDR, the mirror, the hub's cache, the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.files import content_hash
from xmtf.sources import hub
from xmtf.sources.adapters import adapt, adapter_version
from xmtf.sources.cldr import cldr_fingerprint, read_cldr
from xmtf.sources.mirror import DATA_ROOT, find_in_mirror, mirror_root, mirror_splits
from xmtf.sources.reference import SourceData, SourceRef
from xmtf.sources.tables import fingerprint_files, read_table_files

__all__ = ["CLDR", "files_of", "fingerprint_source", "read_raw", "read_source"]

CLDR = "cldr/"
"""Prefix of the datasets that are made from CLDR and need neither a file nor a network."""


def read_source(ref: SourceRef, *, offline: bool = False) -> SourceData:
    """Read one split and apply its adapter.

    Looks, in this order, at ``ref.path``, the embedded CLDR, the mirror (``XMTF_DATA_ROOT``), the hub's
    cache and the hub. Where ``ref.path`` is given, nothing else is looked at.

    Args:
        ref: What to read.
        offline: Never touch the network.

    Raises:
        SourceError: It is nowhere, or unreadable: names where it was looked for and what to do.
    """
    table, content = read_raw(ref, offline=offline)
    adapted = adapt(ref, table)
    fingerprint = _fingerprint(ref, content)
    rows = adapted.rows if adapted.rows is not None else np.arange(adapted.table.num_rows, dtype=np.int64)
    return SourceData(ref, adapted.table, fingerprint, rows, adapted.dropped)


def fingerprint_source(ref: SourceRef, *, offline: bool = False) -> str:
    """Return what :func:`read_source` would give as fingerprint, without parsing rows where files are at hand.

    Raises:
        SourceError: As :func:`read_source`.
    """
    files = files_of(ref)
    if files:
        return _fingerprint(ref, fingerprint_files(files))
    if ref.dataset.startswith(CLDR):
        return _fingerprint(ref, cldr_fingerprint())
    prepared = hub.prepared_dataset(ref, cached=True) if ref.revision != hub.CONVERTED else None
    if prepared is not None:
        return _fingerprint(ref, prepared.version())
    return _fingerprint(ref, read_raw(ref, offline=offline)[1])


def _fingerprint(ref: SourceRef, content: str) -> str:
    about = [*ref.where, ref.adapter, adapter_version(ref.adapter), content]
    return content_hash(about if ref.separator is None else [*about, ref.separator])


def files_of(ref: SourceRef) -> list[Path]:
    """Return the files that hold a split on this machine: the user's, the mirror's, or the hub's cache's."""
    if ref.path is not None:
        return [Path(ref.path)] if Path(ref.path).is_file() else []
    if ref.dataset.startswith(CLDR):
        return []
    found = find_in_mirror(ref)
    return found if found or ref.revision != hub.CONVERTED else hub.converted_files(ref, cached=True)


def read_raw(ref: SourceRef, *, offline: bool) -> tuple[pa.Table, str]:
    """Return the rows before the adapter, and the hash of their content.

    Raises:
        SourceError: As :func:`read_source`.
    """
    files = [Path(ref.path)] if ref.path is not None else files_of(ref)
    if files:
        return read_table_files(files, separator=ref.separator, as_json=ref.as_json), fingerprint_files(files)
    if ref.dataset.startswith(CLDR):
        return read_cldr(ref.dataset, ref.subset, ref.split), cldr_fingerprint()
    converted = ref.revision == hub.CONVERTED
    prepared = None if converted else hub.prepared_dataset(ref, cached=True)
    if prepared is None:
        _check_network(ref, offline=offline)
        try:
            if converted:
                files = hub.converted_files(ref, cached=False)
                return read_table_files(files, as_json=ref.as_json), fingerprint_files(files)
            prepared = hub.prepared_dataset(ref, cached=False)
        except SourceError as error:
            raise SourceError(f"{error}; {_looked(ref)}: {_ADVICE}") from error
    assert prepared is not None
    return prepared.table(), prepared.version()


def _check_network(ref: SourceRef, *, offline: bool) -> None:
    """Fail where a split can only come over the network, and that is not possible or not allowed."""
    if ref.note:
        raise SourceError(f"{ref}: {_looked(ref)}, and it cannot be downloaded: {ref.note}")
    if offline or hub.network_forbidden():
        raise SourceError(f"{ref}: {_looked(ref)}, and the network is switched off (offline): {_ADVICE}")


_ADVICE = (
    "fetch it where there is a network (`xmtf data fetch RECIPE --to DIR`), then set "
    f"{DATA_ROOT} to that folder, or leave the task out"
)


def _looked(ref: SourceRef) -> str:
    """Say where a split was looked for, and which splits are there instead."""
    root = mirror_root()
    dataset, subset, split = ref.where
    path = f"{dataset}/{subset}/{split}" if subset else f"{dataset}/{split}"
    others = mirror_splits(ref)
    has = f" (it has {', '.join(others)})" if others else ""
    mirror = f"the mirror has no {root}/{path}.parquet{has}" if root else f"no mirror is set ({DATA_ROOT})"
    whole = find_in_mirror(replace(ref, flat=True)) if subset else []
    if whole:
        mirror += (
            f" ({whole[0]} holds all subsets or none, and is read for one with `flat: true` in its catalogue entry)"
        )
    return f"{mirror}, the hub's cache does not have it"
