"""Read a mixture: in its order, by language, or only the examples that match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmtf.artefacts.checksums import remembered_sha256
from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError
from xmtf.files import MANIFEST, read_manifest
from xmtf.languages.codes import normalize_language
from xmtf.records import MESSAGES, PROMPTED_COLUMNS, PROVENANCE_COLUMNS
from xmtf.run_folder import RunFolder

__all__ = [
    "FILTERS",
    "find_mixture",
    "matches_filters",
    "mixture_files",
    "mixture_languages",
    "parse_filters",
    "read_mixture",
    "select_examples",
]

FILTERS = (*PROVENANCE_COLUMNS, "row")
"""Columns that examples can be filtered by."""


def find_mixture(folder: Path) -> Path:
    """Return the folder of a finished mixture; of the folder of a run, its mixture.

    Raises:
        SourceError: It holds no finished mixture.
    """
    for found in (folder, RunFolder(folder).mixture):
        if (found / MANIFEST).is_file() and any(found.glob("language=*")):
            return found
    raise SourceError(f"{folder}: there is no finished mixture; build one with `xmtf data build RECIPE`")


def mixture_files(folder: Path) -> dict[str, list[Path]]:
    """Return the part files of each language, in order.

    Raises:
        DataError: The folder holds no mixture.
    """
    for name in _written(folder):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name}: is missing; delete {folder} to rebuild it")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("language=*/part-*.parquet")):
        files.setdefault(path.parent.name.removeprefix("language="), []).append(path)
    if not files:
        raise DataError(
            f"{folder}: there is no mixture (no language=*/part-*.parquet); build one with `xmtf data build`"
        )
    return files


def mixture_languages(folder: Path) -> dict[str, int]:
    """Return the number of examples of each language, by code.

    Raises:
        DataError: The folder holds no mixture, or a part that is not what was written.
    """
    return {language: sum(_num_rows(path) for path in paths) for language, paths in mixture_files(folder).items()}


def _written(folder: Path) -> dict[str, str]:
    """Return the parts of a finished mixture, with their SHA-256."""
    if not (folder / MANIFEST).is_file():
        return {}
    return {name: found for name, found in read_manifest(folder).outputs.items() if name.endswith(".parquet")}


def _num_rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({' '.join(str(error).split())}); delete the mixture to rebuild it")


def _check_part(path: Path, written: Mapping[str, str]) -> None:
    """Refuse a part that is not what was written; only what is read is looked at."""
    expected = written.get(f"{path.parent.name}/{path.name}")
    if expected is not None and remembered_sha256(path) != expected:
        raise DataError(f"{path}: does not match its recorded checksum; delete the mixture to rebuild it")


def read_mixture(folder: Path, *, language: str | None = None, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the parts of a mixture as Arrow tables, in the mixture's order.

    Args:
        folder: Folder of the mixture.
        language: Only this language; all of them, one after the other, by default.
        columns: Only these columns, in this order; ``records.PROMPTED_COLUMNS`` by default. ``records.MESSAGES`` is
            null where a part holds no conversations.

    Raises:
        DataError: The folder holds no mixture.
        UnknownNameError: The mixture has no such language.
    """
    files = mixture_files(folder)
    if language is not None and language not in files:
        raise UnknownNameError("language of this mixture", language, files, str(folder))
    written = _written(folder)
    for paths in files.values() if language is None else [files[language]]:
        for path in paths:
            _check_part(path, written)
            yield _read_part(path, columns or PROMPTED_COLUMNS)


def _read_part(path: Path, columns: Sequence[str]) -> Any:
    try:
        file = pq.ParquetFile(path)
        table = file.read(columns=list(columns))
        if MESSAGES in columns and MESSAGES not in table.column_names:
            nulls = pa.nulls(table.num_rows, pa.string())
            table = table.append_column(MESSAGES, nulls).select(list(columns))
        return table
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def parse_filters(texts: Sequence[str]) -> dict[str, str]:
    """Return column -> pattern of texts such as ``dataset=paws-x`` or ``language=spa`` (any spelling of a code).

    Raises:
        ConfigError: Not ``column=pattern``, or not a column that can be filtered by.
    """
    filters = {}
    for text in texts:
        column, equals, pattern = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r}: a filter is column=pattern, such as language=es or dataset=*paws-x*")
        if column not in FILTERS:
            raise UnknownNameError("column", column, FILTERS, f"filter {text!r}")
        is_code = column in ("language", "prompt_language") and "*" not in pattern
        filters[column] = normalize_language(pattern, f"filter {text!r}") if is_code else pattern
    return filters


def matches_filters(record: Mapping[str, object], filters: Mapping[str, str]) -> bool:
    """Whether the columns of a record match every filter of :func:`parse_filters`.

    >>> matches_filters({"dataset": "google-research-datasets/paws-x"}, {"dataset": "paws-x"})
    True
    """
    return all(_matches(str(record[column]), pattern) for column, pattern in filters.items())


def select_examples(
    folder: Path, filters: dict[str, str], *, columns: Sequence[str] = PROMPTED_COLUMNS
) -> Iterator[Any]:
    """Yield tables of the examples that match every filter, in the mixture's order; empty tables are left out.

    Args:
        folder: Folder of the mixture.
        filters: Column -> shell pattern (``*`` and ``?``, case ignored). A pattern without ``*`` also matches the
            last part of a name with slashes: ``paws-x`` finds ``google-research-datasets/paws-x``.
        columns: Columns to read, among them those of the filters.

    Raises:
        DataError: The folder holds no mixture.
    """
    written = _written(folder)
    for language, paths in mixture_files(folder).items():
        if not _matches(language, filters.get("language", "*")):
            continue
        for path in paths:
            _check_part(path, written)
            table = _read_part(path, columns)
            for column, pattern in filters.items():
                texts = table.column(column).cast("string")
                wanted = [value for value in pc.unique(texts).to_pylist() if _matches(value, pattern)]
                table = table.filter(pc.is_in(texts, value_set=_strings(wanted)))
            if table.num_rows:
                yield table


def _strings(values: list[str]) -> Any:
    return pa.array(values, pa.string())


def _matches(value: str, pattern: str) -> bool:
    value, pattern = value.casefold(), pattern.casefold()
    return fnmatchcase(value, pattern) or ("*" not in pattern and value.rpartition("/")[2] == pattern)
