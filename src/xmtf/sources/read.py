"""Read a split from wherever it is: the user's file, CLDR, the mirror, the hub's cache, the hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.files import content_hash
from xmtf.sources.adapters import adapt, adapter_version
from xmtf.sources.cldr import cldr_fingerprint, read_cldr
from xmtf.sources.columns import read_wanted, wanted_columns
from xmtf.sources.hub import CONVERTED
from xmtf.sources.hub.converted import bring
from xmtf.sources.hub.prepared import prepare_dataset
from xmtf.sources.hub.remote import RemoteFile, is_streaming
from xmtf.sources.join import join_tables
from xmtf.sources.locate import CLDR, Located, locate, locate_here
from xmtf.sources.reference import Join, SourceData, SourceRef
from xmtf.sources.sidecar import check_content
from xmtf.sources.tables import fingerprint_files, hash_of, read_table_files

__all__ = ["CLDR", "bring_all", "files_of", "fingerprint_source", "read_raw", "read_source", "remote_files"]


def read_source(ref: SourceRef, *, offline: bool = False) -> SourceData:
    """Read one split and apply its adapter.

    Looks, in this order, at ``ref.path``, the embedded CLDR, the mirror (``XMTF_DATA_ROOT``), the hub's
    cache and the hub. Where ``ref.path`` is given, nothing else is looked at.

    Args:
        ref: What to read.
        offline: Never touch the network.

    Raises:
        SourceError: It is nowhere, or unreadable: names where it was searched for and what to do.
    """
    if ref.join is not None:
        return _read_joined(ref, ref.join, offline)
    table, content = read_raw(ref, offline=offline)
    adapted = adapt(ref, table)
    fingerprint = _fingerprint(ref, content)
    rows = adapted.rows if adapted.rows is not None else np.arange(adapted.table.num_rows, dtype=np.int64)
    return SourceData(ref, adapted.table, fingerprint, rows, adapted.dropped)


def _read_joined(ref: SourceRef, join: Join, offline: bool) -> SourceData:
    """Read the subsets that a split joins, and apply its adapter to what they are together."""
    read = {name: read_raw(part, offline=offline) for name, part in zip(join.subsets, ref.parts, strict=True)}
    joined = join_tables(ref, join, {name: table for name, (table, _) in read.items()})
    adapted = adapt(ref, joined.table)
    rows = joined.rows if joined.rows is not None else np.arange(joined.table.num_rows, dtype=np.int64)
    rows = rows if adapted.rows is None else rows[adapted.rows]
    dropped = Counter(joined.dropped) + Counter(adapted.dropped)
    fingerprint = _fingerprint(ref, _joined_content(join, [content for _, content in read.values()]))
    return SourceData(ref, adapted.table, fingerprint, rows, dict(dropped))


def _joined_content(join: Join, contents: Sequence[str]) -> str:
    return content_hash([join.on, list(join.subsets), list(contents)])


def fingerprint_source(ref: SourceRef, *, offline: bool = False) -> str:
    """Return what :func:`read_source` would give as fingerprint, without parsing rows where files are available.

    Raises:
        SourceError: As :func:`read_source`.
    """
    contents = [_content_of(_at_hand(part, offline=offline)) for part in ref.parts]
    return _fingerprint(ref, contents[0] if ref.join is None else _joined_content(ref.join, contents))


def _fingerprint(ref: SourceRef, content: str) -> str:
    about = [*ref.where, ref.adapter, adapter_version(ref.adapter), content]
    return content_hash(about if ref.separator is None else [*about, ref.separator])


def files_of(ref: SourceRef) -> list[Path]:
    """Return the files that hold a split on this machine: the user's, the mirror's, or the hub's cache's."""
    if not all(Path(path).is_file() for path in ref.own_files):
        return []
    here = locate_here(ref)
    if here is None:
        return []
    return here.prepared.files() if here.prepared is not None else list(here.files)


def remote_files(ref: SourceRef, *, offline: bool) -> list[RemoteFile]:
    """Return the files of a split that are read on the hub, without a copy; empty where there is no such wish.

    Raises:
        SourceError: As :func:`read_source`.
    """
    return [] if not is_streaming() else _remote(locate(ref, offline=offline))


def read_raw(ref: SourceRef, *, offline: bool) -> tuple[pa.Table, str]:
    """Return the rows before the adapter, and the hash of their content.

    Raises:
        SourceError: As :func:`read_source`.
    """
    found = _at_hand(ref, offline=offline)
    content = _content_of(found)
    if found.place == "cldr":
        return read_cldr(ref.dataset, ref.subset, ref.split), content
    if found.prepared is not None:
        return found.prepared.table(), content
    if remote := _remote(found):
        columns = wanted_columns(ref, remote[0].schema()[0].names)
        return pa.concat_tables(block for file in remote for block in file.blocks(columns)), content
    table = read_wanted(ref, found.files)
    if table is None:
        table = read_table_files(found.files, separator=ref.separator, as_json=ref.as_json)
    return table, content


def bring_all(found: Sequence[Located], tell: Callable[[int], None] = lambda count: None) -> list[SourceError]:
    """Download what is on the hub alone, side by side; return what could not be had."""
    splits = [each.split for each in found if each.place == "hub" and each.split is not None]
    return list(bring(splits, tell).values())


def _at_hand(ref: SourceRef, *, offline: bool) -> Located:
    """Return a split that can be read: on this machine, or where that is wished on the hub."""
    streaming = is_streaming()
    found = locate(ref, offline=offline)
    if found.place != "hub" or found.split is None or (streaming and _remote(found)):
        return found
    if ref.revision != CONVERTED:
        return replace(found, place="cache", prepared=prepare_dataset(ref, found.split))
    for problem in bring_all([found]):
        raise problem
    files = found.split.cached()
    if files is None:
        raise SourceError(f"{ref}: its files in the hub's cache were deleted while they were read; try again")
    return replace(found, place="cache", files=tuple(files))


def _remote(found: Located) -> list[RemoteFile]:
    if found.place != "hub" or found.split is None or found.ref.revision != CONVERTED or not is_streaming():
        return []
    return [RemoteFile(found.split.listing, file) for file in found.split.files]


def _content_of(found: Located) -> str:
    """Return the hash of what a split holds; the hub says it of files that are not on this machine."""
    if found.place == "cldr":
        return cldr_fingerprint()
    if found.prepared is not None:
        return found.prepared.version()
    if found.place == "hub" and found.split is not None:
        return content_hash([file.name for file in found.split.files])
    if found.place == "mirror":
        for path in found.files:
            check_content(path, hash_of(path))
    return fingerprint_files(found.files)
