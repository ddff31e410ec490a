"""The local mirror: a folder that holds datasets under their hub ids, so that no network is needed.

``XMTF_DATA_ROOT`` names it, or several (``own:shared``): of each split the first that has it counts. Layout:
``<hub id>/<subset>/<split>.parquet`` (also the other kinds of :mod:`xmtf.sources.tables`; shards
``<split>-00000-of-00002.parquet``). A dataset without subsets has no subset folder. A file of all subsets is never read
for one of them, unless the catalogue says ``flat``; of a dataset whose catalogue entry names a ``table``, that subset
serves all that have none of their own and whose columns it has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.sources.columns import holds_columns
from xmtf.sources.reference import SourceRef
from xmtf.sources.sidecar import SUFFIX as SIDECAR
from xmtf.sources.tables import SUFFIXES

__all__ = ["DATA_ROOT", "find_in_mirror", "mirror_roots", "mirror_splits", "subsets_in_mirror"]

_NUMBER = re.compile(r"\d{5}-of-\d{5}")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")

DATA_ROOT = "XMTF_DATA_ROOT"
"""Environment variable with the mirror's folder, or with several between the marks that part the entries of PATH."""


def mirror_roots() -> tuple[Path, ...]:
    """Return the folders of the mirrors, in the order in which they are looked at; none where there is no variable."""
    parts = os.environ.get(DATA_ROOT, "").split(os.pathsep)
    return tuple(Path(part.strip()).expanduser() for part in parts if part.strip())


def find_in_mirror(ref: SourceRef, root: Path | None = None) -> list[Path]:
    """Return the files of a split in the first mirror that has it, in order; empty where none has.

    A subset with a ``*`` stands for all subsets that match it.

    Raises:
        SourceError: Only some of the shards of the split are there.
    """
    for each in _roots(root):
        folders = _folders(ref, each)
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


def _roots(root: Path | None) -> tuple[Path, ...]:
    return mirror_roots() if root is None else (root,)


def subsets_in_mirror(ref: SourceRef, root: Path | None = None) -> list[str]:
    """Return the subsets of a pattern that the first mirror that has any has with the split."""
    of_each = ([folder.name for folder in _folders(ref, each) if _files_of(folder, ref.split)] for each in _roots(root))
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
    for folder in (folder for root in mirror_roots() for folder in _folders(ref, root)):
        for path in folder.iterdir() if folder.is_dir() else ():
            for suffix in SUFFIXES:
                if path.name.endswith(suffix) and not path.name.endswith(SIDECAR):
                    names.add(_SHARD.sub("", path.name.removesuffix(suffix)))
    return sorted(names)


def _folders(ref: SourceRef, root: Path) -> list[Path]:
    dataset, subset, _ = ref.where
    if "*" in subset:
        return sorted((root / dataset).glob(subset))
    if subset:
        whole = [root / dataset] if ref.flat else []
        return [root / dataset / subset, *whole, *([root / dataset / ref.table] if ref.table else [])]
    return [root / dataset, root / dataset / "default"]
