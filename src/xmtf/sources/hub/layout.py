"""Which files of a converted revision are a split: recognised by their list, never by the nearest name.

=========================================== ===========================================================
``fr/train/0000.parquet``                   configuration, split
``fr/partial-train/0000.parquet``           the beginning of a split that the hub converted no further
``fr/NAME-train-00000-of-00002.parquet``    older conversions; also ``fr/NAME-train.parquet``
``fr/train.parquet``, ``train.parquet``     single files
=========================================== ===========================================================

Without a configuration it is ``default``, files at the top, or the only one that there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

__all__ = ["NoSuchSplitError", "SplitFiles", "configurations", "find_split"]

_PARTIAL = "partial-"
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
_SHOWN = 12
"""Names that a message lists."""


class NoSuchSplitError(LookupError):
    """The list of files does not have the split, or has it more than once; says what it has."""


@dataclass(frozen=True, slots=True)
class SplitFiles:
    """The files of a split.

    Attributes:
        paths: In order.
        partial: Whether they are only its beginning.
        configurations: Where they stand.
    """

    paths: tuple[str, ...]
    partial: bool = False
    configurations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Place:
    """What the path of a file says of it; ``family`` is the same for all files of a split."""

    path: str
    configuration: str
    split: str
    partial: bool
    family: str


def configurations(paths: Iterable[str], split: str) -> list[str]:
    """Return the names of the configurations that have a split."""
    return sorted({place.configuration for place in _places(paths) if place.split == split})


def find_split(paths: Iterable[str], subset: str, split: str, *, table: str = "") -> SplitFiles:
    """Return the files of a split.

    Args:
        paths: All files of the revision.
        subset: Configuration; ``""`` for a dataset without; with ``*`` all that match.
        split: Split.
        table: Configuration that serves every subset which has none of its own.

    Raises:
        NoSuchSplitError: They have no such split, or two ways lead to it, or shards are missing.
    """
    places = _places(paths)
    if "*" in subset:
        return _matching(places, subset, split)
    found = _files_of(places, _configuration(places, subset), split)
    if found is None and table:
        found = _files_of(places, table, split)
    if found is None:
        raise NoSuchSplitError(_what_is_there(places, subset, split))
    return found


def _places(paths: Iterable[str]) -> list[_Place]:
    return [place for path in sorted(paths) if path.endswith(".parquet") and (place := _place(path))]


def _place(path: str) -> _Place | None:
    *folders, name = path.split("/")
    stem = name.removesuffix(".parquet")
    if stem.isdigit():
        if not folders:
            return None
        *above, folder = folders
        split = folder.removeprefix(_PARTIAL)
        return _Place(path, "/".join(above), split, folder != split, f"{'/'.join(folders)}/*.parquet")
    whole = _SHARD.sub("", stem)
    before, _, split = whole.rpartition("-")  # no name of a split has a hyphen
    partial = before.split("-")[0] == "partial" or (bool(folders) and folders[-1] == "partial")
    above = folders[:-1] if folders and folders[-1] == "partial" else folders
    return _Place(path, "/".join(above), split, partial, "/".join([*folders, f"{whole}*.parquet"]))


def _configuration(places: list[_Place], subset: str) -> str:
    if subset:
        return subset
    there = {place.configuration for place in places}
    usual = [name for name in ("", "default") if name in there]
    if len(usual) == 1 or (not usual and len(there) == 1):
        return usual[0] if usual else there.pop()
    if there:
        raise NoSuchSplitError(
            "are several configurations, and none is given: " + _listed(name or "(files at the top)" for name in there)
        )
    raise NoSuchSplitError("there are no Parquet files")


def _files_of(places: list[_Place], configuration: str, split: str) -> SplitFiles | None:
    of_split = [place for place in places if (place.configuration, place.split) == (configuration, split)]
    whole = [place for place in of_split if not place.partial]
    chosen = whole or of_split
    families = sorted({place.family for place in chosen})
    if not families:
        return None
    if len(families) > 1:
        raise NoSuchSplitError(f"several sets of files match split {split!r}: {_listed(families)}")
    paths = tuple(place.path for place in chosen)
    _check_shards(paths, families[0])
    return SplitFiles(paths, not whole, (configuration,))


def _matching(places: list[_Place], pattern: str, split: str) -> SplitFiles:
    names = sorted({place.configuration for place in places if fnmatchcase(place.configuration, pattern)})
    found = [files for name in names if (files := _files_of(places, name, split))]
    if not found:
        raise NoSuchSplitError(_what_is_there(places, pattern, split))
    return SplitFiles(
        tuple(path for files in found for path in files.paths),
        any(files.partial for files in found),
        tuple(name for files in found for name in files.configurations),
    )


def _check_shards(paths: tuple[str, ...], family: str) -> None:
    stems = [path.rpartition("/")[2].removesuffix(".parquet") for path in paths]
    of = [_SHARD.search(stem) for stem in stems]
    if all(stem.isdigit() for stem in stems):
        numbers, expected = [int(stem) for stem in stems], len(stems)
    elif all(of):
        numbers, expected = [int(found[1]) for found in of if found], int(of[-1][2] if of[-1] else 0)
    else:
        numbers, expected = list(range(len(stems))), 1
    if numbers != list(range(expected)):
        raise NoSuchSplitError(f"only {len(paths)} files {family} are there, and some are missing: {_listed(stems)}")


def _what_is_there(places: list[_Place], subset: str, split: str) -> str:
    if not places:
        return "there are no Parquet files"
    names = {place.configuration for place in places}
    inside = {place.split for place in places if place.configuration == subset or (not subset and len(names) == 1)}
    if inside:
        return f"there is no split {split!r}, but {_listed(inside)}"
    return f"there is no configuration {subset or 'default'!r} with split {split!r}, but {_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    """List names for a message; of very many the first."""
    ordered = sorted(names)
    more = f" and {len(ordered) - _SHOWN:,} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + more
