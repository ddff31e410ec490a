"""The embedded source: real multilingual data from CLDR, read in milliseconds and without a network.

The Common Locale Data Repository holds, for hundreds of languages and checked by their speakers, names
of countries, languages, currencies, months and units, and how dates, lists and quantities are written.
Each dataset here is a task with checkable answers on that data: ``cldr/<name>``, one subset per language,
splits ``train`` and ``test``.

``rows.zip`` next to this file holds the rows, one member of JSON columns a dataset, with the licence of the data and
what they were made from. ``scripts/make_cldr.py`` makes it; no library is asked for them here, so that an install of
any day has the same rows.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError, UnknownNameError
from xmtf.files import file_sha256

__all__ = [
    "CLDR_ROWS",
    "MADE_FROM",
    "ORIGIN_COLUMNS",
    "CldrRelease",
    "cldr_datasets",
    "cldr_fingerprint",
    "cldr_languages",
    "cldr_release",
    "read_cldr",
]

CLDR_ROWS = Path(__file__).with_name("rows.zip")
"""The rows of every dataset."""

MADE_FROM = "made.json"
"""The member that names the releases of CLDR and babel, and the languages that were looked at."""

ORIGIN_COLUMNS = ("subset", "split")
"""The columns of a member that say which table a row belongs to."""

SPLITS = ("train", "test")

_PREFIX = "cldr/"


@dataclass(frozen=True, slots=True)
class CldrRelease:
    """What the rows were made from.

    Attributes:
        cldr: Release of CLDR, such as ``47``.
        babel: Release of the Python package that carried it.
        languages: Codes of the languages that were looked at; each has the datasets that CLDR has enough for.
    """

    cldr: str
    babel: str
    languages: tuple[str, ...]


def cldr_datasets() -> tuple[str, ...]:
    """Return the names of the datasets, such as ``cldr/dates``."""
    with zipfile.ZipFile(CLDR_ROWS) as archive:
        members = [name for name in archive.namelist() if name.startswith(_PREFIX)]
    return tuple(sorted(name.removesuffix(".json") for name in members))


@cache
def cldr_release() -> CldrRelease:
    """Return which release of CLDR the rows are of."""
    with zipfile.ZipFile(CLDR_ROWS) as archive:
        made = orjson.loads(archive.read(MADE_FROM))
    return CldrRelease(made["cldr"], made["babel"], tuple(made["languages"]))


def cldr_languages(dataset: str = "") -> tuple[str, ...]:
    """Return the codes of the languages that a dataset has, or that any has, sorted.

    Raises:
        UnknownNameError: No such dataset.
    """
    if not dataset:
        return cldr_release().languages
    return tuple(sorted({subset for subset, _ in _tables(dataset)}))


def read_cldr(dataset: str, subset: str, split: str) -> pa.Table:
    """Return the rows of one dataset, language and split; the same bytes on every machine.

    Args:
        dataset: Such as ``cldr/dates``.
        subset: Language code, such as ``fr``.
        split: ``train`` or ``test``; no key fact of one is in the other.

    Raises:
        UnknownNameError: No such dataset, language or split.
        SourceError: CLDR has too little of its own about this language for the dataset.
    """
    tables = _tables(dataset)
    if subset not in cldr_release().languages:
        raise UnknownNameError("language", subset, cldr_release().languages, dataset)
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS, dataset)
    if (subset, split) not in tables:
        raise SourceError(f"{dataset}: CLDR has too little data of its own for {subset!r}; use another language")
    return tables[subset, split]


@cache
def cldr_fingerprint() -> str:
    """Return the SHA-256 of the file of rows."""
    return file_sha256(CLDR_ROWS)


@cache
def _tables(dataset: str) -> dict[tuple[str, str], pa.Table]:
    """Return (language, split) -> rows of a dataset; each is one run of rows of the member."""
    if dataset not in cldr_datasets():
        raise UnknownNameError("CLDR dataset", dataset, cldr_datasets())
    with zipfile.ZipFile(CLDR_ROWS) as archive:
        rows = pa.table(orjson.loads(archive.read(f"{dataset}.json")))
    subsets, splits = (pc.run_end_encode(rows[name].combine_chunks()) for name in ORIGIN_COLUMNS)
    ends = sorted({*subsets.run_ends.to_pylist(), *splits.run_ends.to_pylist()})
    rows_only = rows.drop_columns(list(ORIGIN_COLUMNS))
    return {
        (rows["subset"][start].as_py(), rows["split"][start].as_py()): rows_only.slice(start, end - start)
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    }
