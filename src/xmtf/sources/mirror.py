"""The local mirror: a folder that holds datasets under their hub ids, so that no network is needed.

``XMTF_DATA_ROOT`` names it, or several (``own:shared``): of each split the first that has it counts. Layout:
``<hub id>/<subset>/<split>.parquet`` (also the other kinds of :mod:`xmtf.sources.tables`; shards
``<split>-00000-of-00002.parquet``). A dataset without subsets has no subset folder. A file of all subsets is never read
for one of them, unless the catalogue says ``flat``; of a dataset whose catalogue entry names a ``table``, that subset
serves all that have none of their own and whose columns it has.

A mirror may be at an address (``s3://bucket/data``): the files of a split are copied to the
user's cache as it is looked up.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.remote.copies import remote_copy, remote_names
from xmtf.remote.storage import is_remote
from xmtf.sources.columns import holds_columns
from xmtf.sources.reference import SourceRef
from xmtf.sources.sidecar import SUFFIX as SIDECAR
from xmtf.sources.tables import SUFFIXES

__all__ = ["DATA_ROOT", "find_in_mirror", "mirror_roots", "mirror_splits", "split_roots", "subsets_in_mirror"]

_NUMBER = re.compile(r"\d{5}-of-\d{5}")
_OF_ADDRESS = re.compile(r"\d+(/|$)|[^/]*@")
"""What follows a colon within an address: a port, or a password, which is then refused."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")

DATA_ROOT = "XMTF_DATA_ROOT"
"""Environment variable with the mirror's folder, or with several between the marks that part the entries of PATH."""


def mirror_roots() -> tuple[str, ...]:
    """Return the folders and addresses of the mirrors, in the order in which they are looked at."""
    return split_roots(os.environ.get(DATA_ROOT, ""))


def split_roots(text: str) -> tuple[str, ...]:
    """Return folders and addresses that are parted like the entries of PATH.

    >>> split_roots("/data:s3://bucket/data:own") if os.pathsep == ":" else ("/data", "s3://bucket/data", "own")
    ('/data', 's3://bucket/data', 'own')
    """
    roots: list[str] = []
    for part in text.split(os.pathsep):
        joined = f"{roots[-1]}:{part}".strip() if roots else ""
        if is_remote(joined) and (part.startswith("//") or _OF_ADDRESS.match(part)):
            roots[-1] = joined
        else:
            roots.append(part.strip())
    return tuple(root if is_remote(root) else str(Path(root).expanduser()) for root in roots if root)


def find_in_mirror(ref: SourceRef, root: Path | None = None) -> list[Path]:
    """Return the files of a split in the first mirror that has it, in order; empty where none has.

    A subset with a ``*`` stands for all subsets that match it.

    Raises:
        SourceError: Only some of the shards of the split are there.
    """
    for each in _roots(root):
        folders = _folders(ref, _local(each, ref))
        if "*" in ref.subset:
            found = [path for folder in folders for path in _files_of(folder, ref.split)]
            if found:
                return found
            continue
        for number, folder in enumerate(folders):
            files = _files_of(folder, ref.split)
            if files and (number == 0 or holds_columns(ref, files)):
                return files
    return []


def _roots(root: Path | None) -> tuple[str, ...]:
    return mirror_roots() if root is None else (str(root),)


def _local(root: str, ref: SourceRef) -> Path:
    """Return the folder of a mirror; of one at an address its copy, with all that an address has of the split."""
    if not is_remote(root):
        return Path(root)
    return remote_copy(root, ref.where[0], lambda name: _may_hold(ref, name) and Path(name).name.startswith(ref.split))


def subsets_in_mirror(ref: SourceRef, root: Path | None = None) -> list[str]:
    """Return the subsets of a pattern that the first mirror that has any has with the split."""
    local = (_local(each, ref) for each in _roots(root))
    of_each = ([folder.name for folder in _folders(ref, each) if _files_of(folder, ref.split)] for each in local)
    return next((names for names in of_each if names), [])


def _files_of(folder: Path, split: str) -> list[Path]:
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    shards = [name for name in names if name.startswith(f"{split}-") and _NUMBER.search(name)]
    for suffix in SUFFIXES if names else ():
        if f"{split}{suffix}" in names and (folder / f"{split}{suffix}").is_file():
            return [folder / f"{split}{suffix}"]
        of_kind = [name for name in shards if name.endswith(suffix)]
        found = [name for name in of_kind if _NUMBER.fullmatch(name[len(split) + 1 : -len(suffix)])]
        paths = [folder / name for name in sorted(found)]
        if paths:
            _check_whole(paths)
            return paths
    return []


def _check_whole(shards: list[Path]) -> None:
    """Refuse a split of which shards are missing, or that holds those of two versions."""
    number = int(shards[-1].name.split("-of-")[-1][:5])
    expected = [f"{shard:05d}-of-{number:05d}" for shard in range(number)]
    if [_NUMBER.findall(path.name)[-1] for path in shards] != expected:
        raise SourceError(
            f"{shards[0].parent}: has {len(shards)} shards of this split ({shards[0].name}, ...), which are not "
            f"{expected[0]} to {expected[-1]}; copy the missing ones, or remove those of another version"
        )


def mirror_splits(ref: SourceRef) -> list[str]:
    """Return the names of the splits that the mirrors have of a subset: what an error message offers."""
    names = set()
    for name in (name for root in mirror_roots() for name in _names(root, ref)):
        for suffix in SUFFIXES:
            if name.endswith(suffix) and not name.endswith(SIDECAR):
                names.add(_SHARD.sub("", name.removesuffix(suffix)))
    return sorted(names)


def _names(root: str, ref: SourceRef) -> Iterator[str]:
    """Yield the names of the files that a mirror has in the folders of a subset."""
    if is_remote(root):
        yield from (Path(name).name for name in remote_names(root, ref.where[0]) if _may_hold(ref, name))
        return
    for folder in _folders(ref, Path(root)):
        yield from (path.name for path in folder.iterdir()) if folder.is_dir() else ()


def _may_hold(ref: SourceRef, name: str) -> bool:
    """Return whether a file, named from the dataset's folder, is in one of the folders of a subset."""
    subset, _, _ = name.rpartition("/")
    return any(fnmatchcase(subset, place) and subset.count("/") == place.count("/") for place in _places(ref))


def _folders(ref: SourceRef, root: Path) -> list[Path]:
    dataset, subset, _ = ref.where
    if "*" in subset:
        return sorted((root / dataset).glob(subset))
    return [root / dataset / place for place in _places(ref)]


def _places(ref: SourceRef) -> list[str]:
    """Return the folders, below that of the dataset, that may hold a split, in order; one may be a pattern."""
    subset = ref.subset
    if "*" in subset:
        return [subset]
    if subset:
        return [subset, *([""] if ref.flat else []), *([ref.table] if ref.table else [])]
    return ["", "default"]
