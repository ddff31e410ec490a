"""Bring sources into a mirror, so that a machine without a network can use them.

What is fetched are the raw rows, before any adapter, under the hub's id; next to each file is where it came from
(:mod:`xmtf.sources.sidecar`). Files of the hub arrive as they are there; what ``datasets`` prepares, and own files of
other kinds, become Parquet.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.files import atomic_path, file_sha256
from xmtf.guards.alone import in_turn
from xmtf.sources import hub
from xmtf.sources.hub.converted import subsets_of
from xmtf.sources.hub.download import Wanted, download_all
from xmtf.sources.hub.prepared import prepare_dataset
from xmtf.sources.locate import CLDR, Located, locate_all
from xmtf.sources.mirror import find_in_mirror, mirror_roots, subsets_in_mirror
from xmtf.sources.reference import SourceRef
from xmtf.sources.sidecar import Sidecar, check_content, check_pin, read_sidecar, write_sidecar
from xmtf.sources.stream import stream_files
from xmtf.sources.tables import hash_of, read_blocks
from xmtf.sources.terms import Terms, terms_of

__all__ = ["Fetched", "Tell", "expand_patterns", "fetch_sources", "sources_to_fetch"]

Tell = Callable[[int, int], None]
"""Told how many bytes came, and how many there are in all."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one split.

    Attributes:
        ref: The split.
        path: Its first file in the mirror, or None where it could not be had.
        rows: Rows in its files.
        status: ``there``, ``fetched`` or ``failed``.
        problem: Why it failed, or ``""``.
    """

    ref: SourceRef
    path: Path | None
    rows: int
    status: str
    problem: str = ""


def sources_to_fetch(refs: Iterable[SourceRef]) -> tuple[SourceRef, ...]:
    """Return the refs that a mirror can hold, each place once: no own files, nothing made from CLDR, no joins."""
    parts = (part for ref in refs for part in ref.parts)
    places = {ref.where: ref for ref in parts if ref.path is None and not ref.dataset.startswith(CLDR)}
    return tuple(places.values())


def expand_patterns(refs: Iterable[SourceRef], *, offline: bool = False) -> tuple[SourceRef, ...]:
    """Return the refs with every pattern of subsets as the subsets that the hub has, offline those that are available.

    A pattern that matches nothing, or whose subsets cannot be asked for, stays as it is.
    """
    found = list[SourceRef]()
    asked: dict[tuple[str, str], list[str]] = {}
    for ref in refs:
        if "*" not in ref.subset:
            found.append(ref)
            continue
        place = (ref.where[0], ref.split)
        if place not in asked:
            asked[place] = _subsets_on_hub(ref, offline=offline or hub.network_forbidden())
        on_hub = {subset for subset in asked[place] if fnmatchcase(subset, ref.subset)}
        subsets = sorted(on_hub | set(subsets_in_mirror(ref)))
        found += [replace(ref, subset=subset) for subset in subsets] or [ref]
    return sources_to_fetch(found)


def _subsets_on_hub(ref: SourceRef, *, offline: bool) -> list[str]:
    """Return the subsets with the split of a pattern, or none where the hub cannot be asked.

    Why it cannot is said where the pattern itself is then searched for.
    """
    if ref.revision != hub.CONVERTED:
        return []
    try:
        return subsets_of(ref, cached=offline)
    except SourceError:
        return []


def fetch_sources(
    refs: Iterable[SourceRef],
    to: Path,
    *,
    offline: bool = False,
    progress: Callable[[Fetched], None] = lambda fetched: None,
    tell: Tell = lambda count, total: None,
    licences: Mapping[str, str] | None = None,
    gated: Collection[str] = (),
    show: Callable[[tuple[Terms, ...]], None] = lambda terms: None,
) -> tuple[Fetched, ...]:
    """Bring splits into the mirror at ``to``; what is there stays, what fails is reported, the rest continues.

    Files come side by side; a second call resumes those that are not whole.

    Args:
        refs: What to bring.
        to: Folder of the mirror.
        offline: Only copy from the mirror in use and the hub's cache.
        progress: Called once for every split.
        tell: Called as bytes come from the hub.
        licences: Dataset -> licence, as the catalogue says it.
        gated: Datasets that are given out on request, as the catalogue says it.
        show: Called with the terms of the datasets that are to come, before they do.
    """
    refs = expand_patterns(refs, offline=offline)
    results = {ref: _there(ref, to) for ref in refs}
    open_refs = [ref for ref, there in results.items() if there is None]
    others = any(Path(root).resolve() != to.resolve() for root in mirror_roots())
    located = locate_all(open_refs, offline=offline, mirror=others)
    there = (each for each in located if isinstance(each, Located))
    terms = terms_of(there, licences or {}, offline=offline, gated=gated)
    show(terms)
    licence_of = {each.dataset: each.licence for each in terms}
    found = {
        ref: replace(each, licence=licence_of[ref.dataset]) if isinstance(each, Located) else each
        for ref, each in zip(open_refs, located, strict=True)
    }
    wanted = {
        ref: _wanted(each, to)
        for ref, each in found.items()
        if isinstance(each, Located) and each.place == "hub" and ref.revision == hub.CONVERTED
    }
    problems = _download([file for files in wanted.values() for file in files], tell)
    for ref, each in found.items():
        try:
            if isinstance(each, SourceError):
                raise each
            if ref in wanted:
                results[ref] = _settle(each, wanted[ref], problems)
            else:
                results[ref] = _copy(each, to)
        except SourceError as error:
            results[ref] = Fetched(ref, None, 0, "failed", str(error))
    done = tuple(result for result in results.values() if result is not None)
    for result in done:
        progress(result)
    return done


def _there(ref: SourceRef, to: Path) -> Fetched | None:
    """Return a split that the mirror has, or None; one that is not what was fetched, or cannot be read, has failed."""
    try:
        files = find_in_mirror(ref, to)
    except SourceError:  # shards are missing: of an earlier call that ended early
        return None
    if not files:
        return None
    try:
        check_pin(ref, files)
        sidecars = [read_sidecar(path) for path in files]
        for path in files:
            check_content(path, hash_of(path))
        rows = sum(beside.rows if beside else _rows(path) for path, beside in zip(files, sidecars, strict=True))
    except SourceError as error:
        return Fetched(ref, files[0], 0, "failed", str(error))
    return Fetched(ref, files[0], rows, "there")


def _rows(path: Path) -> int:
    return sum(block.num_rows for block in read_blocks(path))


def _download(files: Sequence[Wanted], tell: Tell) -> dict[Path, SourceError]:
    unique = {each.target: each for each in files}
    total, lock = sum(each.file.size for each in unique.values()), threading.Lock()

    def one(count: int) -> None:
        with lock:
            tell(count, total)

    return download_all(list(unique.values()), one)


def _wanted(found: Located, to: Path) -> list[Wanted]:
    """Return the files of a converted split with their places in the mirror."""
    assert found.split is not None
    split = found.split
    folder, name = _folder(found, to), found.ref.split
    number = len(split.files)
    names = [f"{name}.parquet"] if number == 1 else [f"{name}-{i:05d}-of-{number:05d}.parquet" for i in range(number)]
    return [Wanted(split.listing, file, folder / each) for file, each in zip(split.files, names, strict=True)]


def _folder(found: Located, to: Path) -> Path:
    """Return the folder of a split: of one that a table serves, the table's."""
    dataset, subset, _ = found.ref.where
    served = found.split is not None and found.ref.table and found.split.subsets == (found.ref.table,)
    return to / dataset / (found.ref.table if served else subset)


def _settle(found: Located, files: list[Wanted], problems: dict[Path, SourceError]) -> Fetched:
    """Write the sidecars of what was downloaded."""
    rows = 0
    for each in files:
        if each.target in problems:
            raise problems[each.target]
        number = pq.read_metadata(each.target).num_rows
        _describe(found, each.target, number, each.file.sha256)
        rows += number
    return Fetched(found.ref, files[0].target, rows, "fetched")


def _copy(found: Located, to: Path) -> Fetched:
    """Write a split that is on this machine, or that ``datasets`` prepares, into the mirror."""
    ref = found.ref
    if found.prepared is None and found.place == "hub":
        assert found.split is not None
        found = replace(found, prepared=prepare_dataset(ref, found.split))
    sources = list(found.files) if found.prepared is None else found.prepared.files()
    as_they_are = bool(found.files) and all(path.suffix == ".parquet" for path in sources)
    folder = _folder(found, to)
    number = len(sources)
    if not as_they_are or number == 1:
        names = [f"{ref.split}.parquet"]
    else:
        names = [f"{ref.split}-{i:05d}-of-{number:05d}.parquet" for i in range(number)]
    rows = 0
    for name, source in zip(names, sources, strict=False) if as_they_are else [(names[0], None)]:
        with in_turn(folder / name):
            if not (folder / name).exists():  # another process may have brought it meanwhile
                with atomic_path(folder / name) as temporary:
                    if source is not None:
                        shutil.copyfile(source, temporary)
                    else:
                        _write(ref, sources, temporary)
            count = pq.read_metadata(folder / name).num_rows
            _describe(found, folder / name, count)
            rows += count
    return Fetched(ref, folder / names[0], rows, "fetched")


def _write(ref: SourceRef, sources: Sequence[Path], target: Path) -> None:
    """Write files of rows as one Parquet file, block by block."""
    stream = stream_files(ref, sources)
    with pq.ParquetWriter(target, stream.schema, compression="zstd") as writer:
        for _, block in stream.blocks():
            writer.write_table(block)


def _describe(found: Located, path: Path, rows: int, sha256: str = "") -> None:
    dataset, subset, split = found.ref.asked
    origin = found.origin
    write_sidecar(
        path,
        Sidecar(
            dataset=dataset,
            subset=subset if path.parent.name != found.ref.table else found.ref.table,
            split=split,
            revision=origin.revision,
            commit=origin.commit,
            rows=rows,
            bytes=path.stat().st_size,
            sha256=sha256 or file_sha256(path),
            partial=found.partial,
            licence=found.licence,
            gated=found.gated,
        ),
    )
