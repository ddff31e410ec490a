"""The held-out guard: training examples whose inputs, or whose rows, also are in an evaluation suite.

The guard's index is the sorted list of the 128-bit hashes of all inputs that the recipe's suites ask, of the places of
the rows that they ask about, so that no other prompt on the same row is trained on, of the fields of these rows
(:mod:`xmtf.mixture.select.field_index`), and where the recipe needs it, of the runs of words in them: a template's own
words, which training and evaluation may share, are not among them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xmtf.files import atomic_path, read_json, write_json
from xmtf.mixture.select.asked_fields import AskedFields
from xmtf.mixture.select.field_index import FieldIndex
from xmtf.mixture.select.keys import UInt64
from xmtf.mixture.select.merge_fields import merge_fields, read_index, write_index
from xmtf.mixture.select.ngrams import find_hashes, word_runs

__all__ = ["SOURCES", "Asked", "Guard", "read_guard", "write_guard"]

SOURCES = "sources.json"
"""File of a guard that is written last."""
_INPUTS, _RUNS, _ROWS, _FIELDS = "inputs.npy", "runs.npy", "rows.npy", "fields"


@dataclass(frozen=True, slots=True)
class Asked:
    """The inputs of one evaluation slice.

    Attributes:
        suite: Name of the suite in the recipe.
        task: Task id.
        split: Split that it reads.
        hashes: Hashes of the inputs, uint64 ``[n, 2]``.
        runs: Hashes of the runs of words of its rows, uint64 ``[m]``.
        rows: Hashes of the places of its rows, uint64 ``[r]``; none where rows may be trained on.
        fields: The fields of its rows, or None where they are not compared.
        parallel: Its dataset and split: rows of one number in their subsets are translations of each other.
    """

    suite: str
    task: str
    split: str
    hashes: UInt64
    runs: UInt64 = field(default_factory=lambda: np.empty(0, np.uint64))
    rows: UInt64 = field(default_factory=lambda: np.empty(0, np.uint64))
    fields: AskedFields | None = None
    parallel: str = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """All inputs that the suites of a recipe ask.

    Attributes:
        high: First words of the hashes, uint64 ``[n]``, sorted.
        low: Second words.
        source_of_row: int32 ``[n]``: index into ``sources``.
        sources: ``suite, task, split`` of each evaluation slice.
        runs: Hashes of runs of words, uint64 ``[m]``, sorted.
        source_of_run: int32 ``[m]``.
        places: Hashes of the places of rows, uint64 ``[r]``, sorted.
        source_of_place: int32 ``[r]``.
        fields: The fields of rows; their sources are among ``source_of_fields``.
        source_of_fields: int64 ``[p]``: index into ``sources`` of each source that ``fields`` knows.
    """

    high: UInt64
    low: UInt64
    source_of_row: npt.NDArray[np.int32]
    sources: list[dict[str, str]]
    runs: UInt64
    source_of_run: npt.NDArray[np.int32]
    places: UInt64
    source_of_place: npt.NDArray[np.int32]
    fields: FieldIndex
    source_of_fields: list[int]

    def find(self, hashes: UInt64) -> npt.NDArray[np.int64]:
        """Return for each of the hashes ``[n, 2]`` the index of a source that asks it, or -1."""
        found = np.full(len(hashes), -1, np.int64)
        high, low = self.high, self.low
        at = np.searchsorted(high, hashes[:, 0])
        waiting = np.flatnonzero(at < len(high))
        while len(waiting):  # one round but for different inputs whose first 64 bits agree
            waiting = waiting[high[at[waiting]] == hashes[waiting, 0]]
            same = low[at[waiting]] == hashes[waiting, 1]
            found[waiting[same]] = self.source_of_row[at[waiting[same]]]
            waiting = waiting[~same]
            at[waiting] += 1
            waiting = waiting[at[waiting] < len(high)]
        return found

    def find_rows(self, places: UInt64) -> npt.NDArray[np.int64]:
        """Return for each of the places ``[n]`` the index of a source that asks about that row, or -1."""
        found = np.full(len(places), -1, np.int64)
        if len(self.places):
            at = np.minimum(np.searchsorted(self.places, places), len(self.places) - 1)
            is_asked = self.places[at] == places
            found[is_asked] = self.source_of_place[at[is_asked]]
        return found

    def find_runs(self, texts: object, length: int) -> dict[int, tuple[int, str]]:
        """Return for each text that holds a run of words of a suite's rows: the source and the first such run.

        Args:
            texts: Column of strings.
            length: Words in a run, as the guard was made with.
        """
        found = word_runs(texts, length)
        hits, at = find_hashes(found.hashes, self.runs)
        texts_hit, first = np.unique(found.text_of_run[hits], return_index=True)
        return {
            int(text): (int(self.source_of_run[source]), found.text(run))
            for text, run, source in zip(texts_hit, hits[first], at[first], strict=True)
        }


def write_guard(folder: Path, asked: list[Asked]) -> None:
    """Write the index of all evaluation inputs into ``folder``."""
    _write_sorted(folder / _RUNS, [part.runs for part in asked])
    _write_sorted(folder / _ROWS, [part.rows for part in asked])
    hashes = np.concatenate([np.empty((0, 2), np.uint64), *(part.hashes for part in asked)])
    source_of_row = np.repeat(np.arange(len(asked), dtype=np.uint64), [len(part.hashes) for part in asked])
    order = np.lexsort((source_of_row, hashes[:, 1], hashes[:, 0]))
    with atomic_path(folder / _INPUTS) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.vstack([hashes.T, source_of_row])[:, order], allow_pickle=False)
    sources = [{"suite": part.suite, "task": part.task, "split": part.split} for part in asked]
    with_fields = [(number, part, part.fields) for number, part in enumerate(asked) if part.fields is not None]
    merged = merge_fields(
        [fields for _, _, fields in with_fields],
        [part.suite for _, part, _ in with_fields],
        [part.parallel for _, part, _ in with_fields],
    )
    write_index(folder / _FIELDS, merged)
    write_json(folder / SOURCES, {"sources": sources, "with_fields": [number for number, _, _ in with_fields]})


def _write_sorted(path: Path, parts: list[UInt64]) -> None:
    """Write the hashes of all sources, sorted, with the source of each."""
    hashes = np.concatenate([np.empty(0, np.uint64), *parts])
    sources = np.repeat(np.arange(len(parts), dtype=np.uint64), [len(part) for part in parts])
    order = np.argsort(hashes, kind="stable")
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, np.vstack([hashes, sources])[:, order], allow_pickle=False)


def read_guard(folder: Path) -> Guard:
    """Read what :func:`write_guard` wrote; the hashes stay on disk and are mapped into memory."""
    index: Any = np.load(folder / _INPUTS, mmap_mode="r", allow_pickle=False)
    runs: Any = np.load(folder / _RUNS, mmap_mode="r", allow_pickle=False)
    rows: Any = np.load(folder / _ROWS, mmap_mode="r", allow_pickle=False)
    about = read_json(folder / SOURCES)
    return Guard(
        index[0],
        index[1],
        index[2].astype(np.int32),
        about["sources"],
        runs[0],
        runs[1].astype(np.int32),
        rows[0],
        rows[1].astype(np.int32),
        read_index(folder / _FIELDS),
        about["with_fields"],
    )
