"""Which evaluation items are in a mixture, and where: by row, by prompt, by their fields and by shared words.

========  ===========================================================================================
``row``   the mixture prompts the same row of the same split of the same dataset
``prompt``  a training example has exactly the inputs that the item asks, under any of its templates
``fields``  a training example holds a field of the item's raw row that says enough alone, or two of its fields
``words``  a training example shares a run of ``words`` words with the raw row of the item
========  ===========================================================================================

Nothing is removed: what to do about an overlap is for people to decide (``mixture.held_out`` drops it).
The items are kept in memory, as hashes; the mixture is read as a stream. Rows that are shorter than one
run cannot share one, and rows whose fields all are short or frequent cannot be found by them: ``by_words`` and
``by_fields`` count the items that can, ``measurable`` those that can by either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xmtf.analysis.shared_fields import FieldReader, FieldSearch
from xmtf.errors import SourceError
from xmtf.evaluation.suites.setup import Setup, SuiteSlice
from xmtf.files import MANIFEST, read_manifest
from xmtf.mixture.io.read import read_mixture
from xmtf.mixture.select.keys import UInt64, hash_strings
from xmtf.mixture.select.ngrams import find_hashes, word_runs
from xmtf.mixture.select.row_texts import texts_of_rows
from xmtf.results.overlap import Overlap, place_of
from xmtf.sources import fingerprint_source, read_source
from xmtf.tasks import prompted_parts

__all__ = ["Contamination", "EvaluationItems", "ItemReader", "find_overlap"]

_COLUMNS = ("inputs", "targets", "dataset", "subset", "split", "row", "task", "template", "language")


@dataclass(slots=True)
class EvaluationItems:
    """The rows that evaluation suites ask about, numbered from 0.

    Attributes:
        words: Words in a run.
        sources: ``suite, task, dataset, subset, split, data`` of each slice; ``data`` is the hash of its rows.
        source: Slice of each item, int64 ``[items]``.
        row: Row of each item in its split, int64 ``[items]``.
        num_runs: Different runs of words in each item, int64 ``[items]``.
        runs: Hashes of all runs, uint64 ``[r]``, sorted; with ``item_of_run`` int64 ``[r]``.
        prompts: First words of the hashes of the rendered inputs, uint64 ``[p]``, sorted; ``prompt_check`` has the
            second words, ``item_of_prompt`` the items.
        fields: The fields of their raw rows.
    """

    words: int
    sources: list[dict[str, str]]
    source: Any
    row: Any
    num_runs: Any
    runs: UInt64
    item_of_run: Any
    prompts: UInt64
    prompt_check: UInt64
    item_of_prompt: Any
    fields: FieldSearch

    def __len__(self) -> int:
        return len(self.row)


@dataclass(slots=True)
class ItemReader:
    """Reads what evaluation suites ask, slice by slice.

    Attributes:
        setup: How rows are read and rendered.
        words: Words in a run.
        sources: Of the slices read so far.
    """

    setup: Setup
    words: int
    sources: list[dict[str, str]] = field(default_factory=list)
    _fields: FieldReader = field(default_factory=FieldReader)
    _columns: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _size: int = 0

    def add(self, part: SuiteSlice) -> None:
        """Read the rows of one slice.

        Raises:
            SourceError: They cannot be read, or there are none.
        """
        setup, task, split = self.setup, part.slice.task, part.slice.split
        data = read_source(task.source(split), offline=setup.offline)
        if not data.table.num_rows and not data.dropped:
            raise SourceError(f"{place_of(task.id, split)}: has no rows")
        prompts = [
            prompted.table.select(["inputs", "row"])
            for prompted in prompted_parts(
                part.slice, mode=setup.mode, seed=setup.seed, offline=setup.offline, failing_rows=setup.failing_rows
            )
        ]
        asked = np.unique(np.concatenate([np.empty(0, np.int64), *(np.asarray(t.column("row")) for t in prompts)]))
        places = np.flatnonzero(np.isin(data.rows, asked))
        rows = data.rows[places]
        keep = self._columns
        keep["source"].append(np.full(len(rows), len(self.sources)))
        keep["row"].append(rows)
        table = data.table.take(pa.array(places))
        self._fields.add(table, rows, part.suite.name, f"{task.dataset} {split}")
        runs, item = _runs_by_row(table, self.words)
        keep["run"].append(runs)
        keep["item_of_run"].append(item + self._size)
        keep["num_runs"].append(np.bincount(item, minlength=len(rows)))
        order = np.argsort(rows)
        for table in prompts:
            keep["prompt"].append(hash_strings(table.column("inputs")))
            found = order[np.searchsorted(rows, np.asarray(table.column("row")), sorter=order)]
            keep["item_of_prompt"].append(found + self._size)
        told = {"suite": part.suite.name, "task": task.id, "dataset": task.dataset, "subset": task.subset}
        told["split"], told["data"] = split, fingerprint_source(task.source(split), offline=setup.offline)
        self.sources.append(told)
        self._size += len(rows)

    def items(self) -> EvaluationItems:
        """Return all items that were read."""
        joined = {name: np.concatenate(parts) for name, parts in self._columns.items()}
        runs, item_of_run = _sorted(joined["run"], joined["item_of_run"])
        order = np.argsort(joined["prompt"][:, 0], kind="stable")
        return EvaluationItems(
            self.words, self.sources, joined["source"], joined["row"], joined["num_runs"], runs, item_of_run,
            joined["prompt"][order, 0], joined["prompt"][order, 1], joined["item_of_prompt"][order],
            self._fields.search(),
        )  # fmt: skip


def _runs_by_row(table: pa.Table, words: int) -> tuple[UInt64, Any]:
    """Return the different runs of words of each row and the row that each is in, from 0."""
    texts = [(row, text) for row, value in enumerate(table.to_pylist()) for text in _strings(value)]
    found = word_runs(pa.array([text for _, text in texts], pa.string()), words)
    row_of_run = np.array([row for row, _ in texts], np.int64)[found.text_of_run]
    order = np.lexsort((found.hashes, row_of_run))
    rows, hashes = row_of_run[order], found.hashes[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (hashes[1:] != hashes[:-1])
    return hashes[first], rows[first]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


def _sorted(hashes: UInt64, item: Any) -> tuple[UInt64, Any]:
    order = np.argsort(hashes, kind="stable")
    return hashes[order], item[order]


@dataclass(slots=True)
class Contamination:
    """What a mixture shares with evaluation items.

    Attributes:
        items: The items.
        examples: Training examples read.
        by_row: Items whose row is in the mixture, bool ``[items]``; ``by_prompt`` and ``by_fields`` likewise.
        shared: Which of the runs of the items are in the mixture, bool ``[r]``.
        seen: Item -> the first training examples that it shares something with, by kind.
    """

    items: EvaluationItems
    examples: int = 0
    by_row: Any = None
    by_prompt: Any = None
    by_fields: Any = None
    shared: Any = None
    seen: dict[int, dict[str, dict[str, Any]]] = field(default_factory=lambda: defaultdict(dict))

    def __post_init__(self) -> None:
        size = len(self.items)
        self.by_row, self.by_prompt, self.by_fields = (np.zeros(size, bool) for _ in range(3))
        self.shared = np.zeros(len(self.items.runs), bool)

    def summary(self) -> list[dict[str, Any]]:
        """Return one record a slice: items, and how many of them are in the mixture, by kind.

        ``any`` counts items of any kind, ``half`` those of whose runs at least half are in the mixture. ``by_fields``
        and ``by_words`` count those that can be searched for so, ``measurable`` those of either, and ``clean`` those
        of these of which nothing was found.
        """
        share, seen = self._share(), self._seen()
        by_words, with_fields, with_words = share > 0, self.items.fields.measurable, self.items.num_runs > 0
        either = with_fields | with_words
        records = []
        for number, source in enumerate(self.items.sources):
            mine = self.items.source == number
            records.append(
                {name: source[name] for name in ("suite", "task", "split")}
                | {
                    "items": int(mine.sum()),
                    "row": int(self.by_row[mine].sum()),
                    "prompt": int(self.by_prompt[mine].sum()),
                    "fields": int(self.by_fields[mine].sum()),
                    "words": int(by_words[mine].sum()),
                    "half": int((share[mine] >= 0.5).sum()),
                    "any": int(seen[mine].sum()),
                    "measurable": int(either[mine].sum()),
                    "by_fields": int(with_fields[mine].sum()),
                    "by_words": int(with_words[mine].sum()),
                    "clean": int((either & ~seen)[mine].sum()),
                }
            )
        return records

    def found(self) -> Iterator[dict[str, Any]]:
        """Yield one record for each item that is in the mixture, with the first training example of each kind."""
        share = self._share()
        for item in np.flatnonzero(self._seen()):
            source = self.items.sources[self.items.source[item]]
            yield {name: value for name, value in source.items() if name != "data"} | {
                "row": int(self.items.row[item]),
                "share_of_runs": round(float(share[item]), 4),
                "training": self.seen[int(item)],
            }

    def overlap(self, folder: Path) -> Overlap:
        """Return which rows of each split were found, for scores to be joined with.

        Args:
            folder: Folder of the mixture.
        """
        seen = self._seen()
        data: dict[str, str] = {}
        rows: dict[str, dict[int, bool]] = defaultdict(dict)
        for number, source in enumerate(self.items.sources):
            place = place_of(source["task"], source["split"])
            data[place] = source["data"]
            mine = np.flatnonzero(self.items.source == number)
            for row, flag in zip(self.items.row[mine].tolist(), seen[mine].tolist(), strict=True):
                rows[place][row] = rows[place].get(row, False) or flag
        found = {
            place: (np.array(sorted(each), np.int64), np.array([each[row] for row in sorted(each)], np.bool_))
            for place, each in rows.items()
        }
        mixture = read_manifest(folder).fingerprint if (folder / MANIFEST).exists() else ""
        return Overlap(mixture, self.items.words, data, found)

    def _seen(self) -> Any:
        return self.by_row | self.by_prompt | self.by_fields | (self._share() > 0)

    def _share(self) -> Any:
        count = np.bincount(self.items.item_of_run[self.shared], minlength=len(self.items))
        return count / np.maximum(self.items.num_runs, 1)


def find_overlap(folder: Path, items: EvaluationItems) -> Iterator[Contamination]:
    """Look for evaluation items in a mixture; yield the findings so far after each part of it.

    Args:
        folder: Folder of the mixture.
        items: From :class:`ItemReader`.

    Raises:
        DataError: The folder holds no mixture.
    """
    found = Contamination(items)
    rows = _rows_of(items)
    for table in read_mixture(folder, columns=_COLUMNS):
        _find_rows(table, rows, found)
        _find_prompts(table, found)
        _find_fields(table, found)
        for side in ("inputs", "targets"):
            _find_runs(table, side, found)
        found.examples += table.num_rows
        yield found


def _rows_of(items: EvaluationItems) -> dict[tuple[str, str, str], dict[int, list[int]]]:
    rows: dict[tuple[str, str, str], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for item, (source, row) in enumerate(zip(items.source.tolist(), items.row.tolist(), strict=True)):
        where = items.sources[source]
        rows[where["dataset"], where["subset"], where["split"]][row].append(item)
    return rows


def _find_rows(table: pa.Table, rows: dict[tuple[str, str, str], dict[int, list[int]]], found: Contamination) -> None:
    names = [table.column(name).to_pylist() for name in ("dataset", "subset", "split", "row")]
    for place, (dataset, subset, split, row) in enumerate(zip(*names, strict=True)):
        for item in rows.get((dataset, subset, split), {}).get(row, ()):
            found.by_row[item] = True
            _note(found, item, "row", table, place)


def _find_prompts(table: pa.Table, found: Contamination) -> None:
    hashes, items = hash_strings(table.column("inputs")), found.items
    places, first = find_hashes(hashes[:, 0], items.prompts)
    for place, at in zip(places.tolist(), first.tolist(), strict=True):
        while at < len(items.prompts) and items.prompts[at] == hashes[place, 0]:
            if items.prompt_check[at] == hashes[place, 1]:
                found.by_prompt[items.item_of_prompt[at]] = True
                _note(found, int(items.item_of_prompt[at]), "prompt", table, place)
            at += 1


def _find_fields(table: pa.Table, found: Contamination) -> None:
    for hit in found.items.fields.find(texts_of_rows(table, ("inputs", "targets"))):
        found.by_fields[hit.item] = True
        _note(found, hit.item, "fields", table, hit.text, fields=hit.fields, shared=hit.shared)


def _find_runs(table: pa.Table, side: str, found: Contamination) -> None:
    runs, items = word_runs(table.column(side), found.items.words), found.items
    places, first = find_hashes(runs.hashes, items.runs)
    new = np.flatnonzero(~found.shared[first])
    for place, start in zip(places[new].tolist(), first[new].tolist(), strict=True):
        at = start
        while at < len(items.runs) and items.runs[at] == items.runs[start] and not found.shared[at]:
            found.shared[at] = True
            example = int(runs.text_of_run[place])
            _note(found, int(items.item_of_run[at]), "words", table, example, shared=runs.text(place), side=side)
            at += 1


def _note(found: Contamination, item: int, kind: str, table: pa.Table, place: int, **more: Sequence[str]) -> None:
    if kind not in found.seen[item]:
        names = ("task", "dataset", "subset", "split", "row", "template", "language")
        found.seen[item][kind] = {name: table.column(name)[place].as_py() for name in names} | more
