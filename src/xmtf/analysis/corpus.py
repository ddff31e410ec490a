"""Texts with their declared languages, read in pieces: from a mixture, or from files of any size.

======================================  ==============================================================
a mixture (``xmtf data build``)         its inputs and targets; the language is that of the targets
a file of rows (JSON lines, CSV, ...)   one text per row: a column of text and a column of languages
``*.txt``, also packed                  every line is a text, in one language
a folder of such files                  all of them; files below ``<code>/`` are in that language
======================================  ==============================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from xmtf.errors import ConfigError, SourceError, UnknownNameError, UserError
from xmtf.languages.codes import normalize_language
from xmtf.mixture.io.read import mixture_files, read_mixture
from xmtf.sources.files.kinds import KINDS, PACKINGS, SUFFIXES, kind_of
from xmtf.sources.files.lines import text_lines
from xmtf.sources.tables import read_blocks

__all__ = ["CorpusColumns", "Passages", "Side", "read_corpus"]

Side = Literal["inputs", "targets", "both"]

_ROWS = 4096
_PLAIN = tuple(f".txt{packing}" for packing in PACKINGS)
_NAMED = (*KINDS, ".txt")
_TEXT = ("text", "content", "targets", "inputs", "sentence")


@dataclass(frozen=True, slots=True)
class Passages:
    """Some texts of a corpus.

    Attributes:
        texts: The texts.
        languages: The declared language of each, as a code of :mod:`xmtf.languages.codes`.
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
    files = [
        file for file in sorted(path.rglob("*")) if file.name.lower().endswith((*SUFFIXES, *_PLAIN)) and file.is_file()
    ]
    if not files:
        raise SourceError(f"{path}: no such file, or a folder without any of {', '.join(_NAMED)}")
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
    if kind_of(file) is not None:
        for block in read_blocks(file):
            for start in range(0, block.num_rows, _ROWS):
                yield block.slice(start, _ROWS).to_pydict()
    elif file.name.lower().endswith(_PLAIN):
        lines = (line for line in text_lines(file) if line.strip())
        while texts := list(islice(lines, _ROWS)):
            yield {"text": texts}
    else:
        raise SourceError(f"{file}: not a kind of file that can be read; known: {', '.join(_NAMED)}, also compressed")


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
