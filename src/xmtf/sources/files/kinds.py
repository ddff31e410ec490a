"""Which kinds of files hold rows, alone or packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import SourceError

__all__ = ["KINDS", "PACKINGS", "SUFFIXES", "FileKind", "kind_of", "stem_of"]

KINDS = (".parquet", ".jsonl", ".csv", ".tsv", ".ndjson", ".json", ".arrow", ".feather")
"""File names that hold rows, in the order in which they are preferred."""

PACKINGS = ("", ".gz", ".zst", ".bz2", ".xz")
"""What may follow them."""

SUFFIXES = tuple(kind + packing for kind in KINDS for packing in PACKINGS)
"""Ends of all file names that are understood, in the order in which they are preferred."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What a file name says.

    Attributes:
        rows: One of :data:`KINDS`.
        packing: One of :data:`PACKINGS`.
    """

    rows: str
    packing: str


def kind_of(path: Path) -> FileKind | None:
    """Return the kind of a file by its name, or None where it is not one of rows.

    >>> kind_of(Path("a.JSONL.gz"))
    FileKind(rows='.jsonl', packing='.gz')
    """
    name = path.name.lower()
    packing = next((each for each in PACKINGS[1:] if name.endswith(each)), "")
    rows = next((each for each in KINDS if name.removesuffix(packing).endswith(each)), None)
    return None if rows is None else FileKind(rows, packing)


def stem_of(path: Path) -> str:
    """Return the name of a file without what tells its kind.

    >>> stem_of(Path("x/a.jsonl.gz"))
    'a'
    """
    kind = kind_of(path)
    return path.name if kind is None else path.name[: -len(kind.rows + kind.packing)]


def require_kind(path: Path) -> FileKind:
    """Return the kind of a file.

    Raises:
        SourceError: It is not one of rows.
    """
    kind = kind_of(path)
    if kind is None:
        raise SourceError(
            f"{path}: not a kind of file that can be read; known: {', '.join(KINDS)}, each also with "
            f"{', '.join(PACKINGS[1:])}"
        )
    return kind
