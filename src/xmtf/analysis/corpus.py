"""Texts with their declared languages, read in pieces: from a mixture, or from files of any size.

======================================  ==============================================================
a mixture (``xmtf data build``)         its inputs and targets; the language is that of the targets
``*.parquet``, ``*.jsonl[.gz]``         one text a row: a column of text and a column of languages
``*.csv``, ``*.tsv``, ``*.txt[.gz]``    likewise; of plain text every line, in one language
a folder of such files                  all of them; files below ``<code>/`` are in that language
======================================  ==============================================================
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import pyarrow.parquet as pq

from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError, UserError
from xmtf.languages import normalize_language
from xmtf.mixture.io.read import mixture_files, read_mixture
from xmtf.sources.tables import read_table_file

__all__ = ["CorpusColumns", "Passages", "Side", "read_corpus"]

Side = Literal["inputs", "targets", "both"]

_ROWS = 4096
_SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv", ".txt", ".txt.gz")
_TEXT = ("text", "content", "targets", "inputs", "sentence")


@dataclass(frozen=True, slots=True)
class Passages:
    """Some texts of a corpus.

    Attributes:
        texts: The texts.
        languages: The declared language of each, as a code of :mod:`xmtf.languages`.
    """

    texts: Sequence[str]
    languages: Sequence[str]


@dataclass(frozen=True, slots=True)
class CorpusColumns:
    """Where a corpus keeps what.

    Attributes:
        side: Texts of a mixture that are read.
        text: Column of the text in files; default the first of ``text, content, targets, inputs, sentence``.
        language: Column of the language in files.
        declared: Language of all texts, where no column or folder tells it.
    """

    side: Side = "targets"
    text: str | None = None
    language: str = "language"
    declared: str | None = None


def read_corpus(path: Path, columns: CorpusColumns | None = None) -> Iterator[Passages]:
    """Yield the texts of a corpus in pieces of a few thousand.

    Args:
        path: Folder of a mixture, a file, or a folder of files.
        columns: Where texts and languages stand.

    Raises:
        SourceError: No such file, or none that can be read.
        ConfigError: No language is declared.
        UnknownNameError: No such column or language.
        DataError: A line is not JSON; named by its number.
    """
    columns = columns or CorpusColumns()
    if path.is_dir() and any(path.glob("language=*/part-*.parquet")):
        yield from _mixture(path, columns.side)
        return
    for file in _files(path):
        declared = columns.declared or _language_of_folder(file, path)
        for table in _tables(file):
            yield _passages(table, columns, declared, file)


def _mixture(folder: Path, side: Side) -> Iterator[Passages]:
    names = ("inputs", "targets") if side == "both" else (side,)
    for language in mixture_files(folder):
        for table in read_mixture(folder, language=language, columns=names):
            for batch in table.to_batches(max_chunksize=_ROWS):
                texts = [text for name in names for text in batch.column(name).to_pylist()]
                yield Passages(texts, [language] * len(texts))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = [file for file in sorted(path.rglob("*")) if file.name.lower().endswith(_SUFFIXES) and file.is_file()]
    if not files:
        raise SourceError(f"{path}: no such file, or a folder without any of {', '.join(_SUFFIXES)}")
    return files


def _language_of_folder(file: Path, root: Path) -> str | None:
    if file.parent == root or file == root:
        return None
    try:
        return normalize_language(file.parent.name)
    except UnknownNameError:
        return None


def _tables(file: Path) -> Iterator[dict[str, list[Any]]]:
    """Yield columns of some thousand rows each."""
    name = file.name.lower()
    if name.endswith(".parquet"):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=_ROWS):
            yield batch.to_pydict()
    elif name.endswith((".csv", ".tsv")):
        for batch in read_table_file(file).to_batches(max_chunksize=_ROWS):
            yield batch.to_pydict()
    elif name.endswith(_SUFFIXES):
        yield from _lines(file, plain=name.endswith((".txt", ".txt.gz")))
    else:
        raise SourceError(f"{file}: not a kind of file that can be read; known: {', '.join(_SUFFIXES)}")


def _lines(file: Path, *, plain: bool) -> Iterator[dict[str, list[Any]]]:
    rows: list[dict[str, Any]] = []
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                rows.append(
                    {"text": line.decode("utf-8", "replace").rstrip("\n")} if plain else _row(line, file, number)
                )
            if len(rows) == _ROWS:
                yield _columns(rows)
                rows = []
    if rows:
        yield _columns(rows)


def _row(line: bytes, file: Path, number: int) -> dict[str, object]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{file}: line {number} is not valid JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{file}: line {number} is not a JSON object with the columns as keys")
    return row


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _passages(table: dict[str, list[object]], columns: CorpusColumns, declared: str | None, file: Path) -> Passages:
    text = columns.text or next((name for name in _TEXT if name in table), None)
    if text is None or text not in table:
        raise UnknownNameError("column of text", text or "text", table, str(file))
    texts = ["" if value is None else str(value) for value in table[text]]
    if columns.declared is None and columns.language in table:
        return Passages(texts, _codes(table[columns.language], file))
    if declared is None:
        raise ConfigError(
            f"{file}: no language is declared; it has no column {columns.language!r} (it has {', '.join(table)}): name "
            "the column with --language-column, or the language with --language"
        )
    return Passages(texts, [normalize_language(declared)] * len(texts))


def _codes(values: Sequence[object], file: Path) -> list[str]:
    codes = {value: _code(value, file) for value in set(values)}
    return [codes[value] for value in values]


def _code(value: object, file: Path) -> str:
    if not isinstance(value, str):
        raise UserError(f"{file}: a row declares no language (it has {value!r})")
    return normalize_language(value, str(file))
