"""What figures and tables read alongside results: analyses and texts, published or a user's own.

Each input is a file in the form in which ``xmtf analyze``, ``xmtf evaluate`` or ``xmtf generate`` writes it:

============= ======================================================= =========================================
name          columns of the CSV, or fields of the JSON               written by
============= ======================================================= =========================================
taxonomy      cluster, dataset, role [new]                            ``analyze taxonomy``: taxonomy.csv
languages     language, share (a part of 1) [corpus]                  ``analyze taxonomy``: languages.csv
identified    language, percent [percent_reliable, percent_declared]  ``analyze languages``: totals.csv
edit-distance dataset, language, label, examples, mean_distance       ``analyze edit-distance``
code          source, programs, mean_characters, mean_comments        ``analyze code``
validation    model, step, tokens, accuracy, bleu                     by hand; accuracy and BLEU in 0-100
variants      JSONL: title, inputs, targets                           by hand; one line a variant of one example
generations   JSONL: model, text                                      by hand; else from ``evaluate code``
samples       JSONL: prompt, text or output [model]                   ``generate``; else ``evaluate``: samples.jsonl
============= ======================================================= =========================================

Columns in brackets may be missing. ``role`` is ``train``, ``evaluation`` or ``both``; ``new`` is ``yes`` for
datasets drawn in bold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xmtf.errors import ConfigError, DataError, SourceError, UnknownNameError
from xmtf.files import read_jsonl
from xmtf.json_types import JsonObject
from xmtf.report.comparison.results import Results
from xmtf.report.reference import read_columns, reference_rows, reference_variants
from xmtf.results.completions import read_completions

__all__ = ["COLUMNS", "Inputs", "number", "parse_inputs", "texts_at_hand"]

COLUMNS: dict[str, tuple[str, ...]] = {
    "taxonomy": ("cluster", "dataset", "role"),
    "languages": ("language", "share"),
    "identified": ("language", "percent"),
    "edit-distance": ("dataset", "language", "label", "examples", "mean_distance"),
    "code": ("source", "programs", "mean_characters", "mean_comments"),
    "validation": ("model", "step", "tokens", "accuracy", "bleu"),
    "variants": ("title", "inputs", "targets"),
    "generations": ("model", "text"),
    "samples": ("prompt", "text"),
}
"""Name of each input -> what every row must have."""
_TEXTS = frozenset({"variants", "generations", "samples"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of each input, published ones before a user's.

    Attributes:
        reference: Whether published rows are used.
        files: Name of an input -> a user's file.
        at_hand: Texts of the results available: rows of ``samples`` and ``generations`` where no file is given.
        note: What figures must say about the texts; empty where they are the user's own.
        overlap: Folder or file of ``xmtf analyze contamination --out``, or None.
    """

    reference: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)
    at_hand: Mapping[str, Sequence[JsonObject]] = field(default_factory=dict)
    note: str = ""
    overlap: Path | None = None

    def note_on(self, name: str) -> str:
        """Return what a figure must say of an input, or ``""``: a file of the user's needs no word."""
        return "" if name in self.files or name not in self.at_hand else self.note

    def published(self, name: str) -> list[dict[str, str]]:
        """Return the published rows of an input; empty where there are none, or they are not asked for."""
        if not self.reference or name in ("generations", "samples"):
            return []
        return reference_variants() if name == "variants" else reference_rows(name.replace("-", "_"))

    def own(self, name: str) -> list[JsonObject]:
        """Return the rows of a user's file; empty where none was given.

        Raises:
            SourceError: The file is missing or lacks a column.
            DataError: A line of JSONL lacks a field, or the field has no text.
        """
        path = self.files.get(name)
        if path is None:
            return list(self.at_hand.get(name, ()))
        if name not in _TEXTS:
            return list(read_columns(path, COLUMNS[name]))
        if not path.is_file():
            raise SourceError(f"{path}: no such file")
        rows = [_with_text(row) for row in read_jsonl(path)]
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, dict) or any(not isinstance(row.get(key), str) for key in COLUMNS[name]):
                raise DataError(f"{path}: line {number} needs text under {', '.join(COLUMNS[name])}")
        return rows

    def rows(self, name: str) -> list[JsonObject]:
        """Return published rows, then a user's own; of texts the user's own in place of the published."""
        own = self.own(name)
        return own if own and name in _TEXTS else [*self.published(name), *own]


def _with_text(row: object) -> Any:
    """Return a row with its text under ``text``, also where it is an answer of ``xmtf generate``."""
    return {"text": row["output"]} | row if isinstance(row, dict) and "output" in row else row


def number(row: Mapping[str, str], column: str, where: str) -> float:
    """Return a cell as a number.

    Raises:
        DataError: It is none; names the file and the cell.
    """
    try:
        return float(row[column])
    except ValueError:
        raise DataError(f"{where}: {column} is {row[column]!r}, not a number") from None


def texts_at_hand(results: Results) -> dict[str, list[JsonObject]]:
    """Return the samples of results, and of each model a program for the first problem that all have one for."""
    samples = [
        {"prompt": sample.prompt, "text": sample.text, "model": label}
        for label, found in results.samples.items()
        for sample in found
    ]
    programs: dict[str, dict[str, str]] = {}
    for label, folders in results.folders.items():
        for each in (each for folder in folders for each in read_completions(folder)):
            programs.setdefault(label, {}).setdefault(f"{each.task}: {each.problem}", each.completion)
    every = list(programs.values())
    common = [problem for problem in (every[0] if every else ()) if all(problem in own for own in every)][:1]
    generations = [
        {"model": f"{label}, {problem}", "text": own[problem]} for problem in common for label, own in programs.items()
    ]
    return {"samples": samples, "generations": generations}


def parse_inputs(given: Sequence[str], *, reference: bool, overlap: Path | None = None) -> Inputs:
    """Read ``NAME=FILE`` pairs of a command line.

    Raises:
        ConfigError: A pair has no ``=``.
        UnknownNameError: No such input.
    """
    files = {}
    for pair in given:
        name, equals, path = pair.partition("=")
        if not equals or not path:
            raise ConfigError(f"--input {pair!r}: expected NAME=FILE, such as samples=results/samples.jsonl")
        if name not in COLUMNS:
            raise UnknownNameError("input", name, COLUMNS, "--input")
        files[name] = Path(path)
    return Inputs(reference, files, overlap=overlap)
