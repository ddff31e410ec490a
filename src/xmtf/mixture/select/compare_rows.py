"""Which training rows hold what evaluation suites ask about: raw rows are compared once, whatever prompts they get."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.mixture.select.guard import Guard
from xmtf.mixture.select.row_texts import joined_texts
from xmtf.sources import SourceData
from xmtf.tasks import Slice
from xmtf.tasks.prompting.prompted import chosen_rows

__all__ = ["SAME_FIELDS", "RowComparison", "Shared", "compare_texts", "shared_words"]

Int64 = npt.NDArray[np.int64]

SAME_FIELDS = "holds fields of a row of an evaluation suite"
"""Reason of examples whose row holds a field, or two, of a row that a suite asks about."""


def shared_words(words: int) -> str:
    """Return the reason of examples that share so many words in a row with a suite."""
    return f"shares {words} words with an evaluation suite"


class Shared(NamedTuple):
    """Why an example counts as asked.

    Attributes:
        source: Index of the evaluation slice in the guard.
        reason: Reason of the drop.
        row: Number of the row that is asked about, where that is known.
        fields: Names of the fields of this row that are shared.
        words: The words that are shared.
    """

    source: int
    reason: str
    row: int | None = None
    fields: tuple[str, ...] = ()
    words: str | None = None


def compare_texts(texts: pa.Array, guard: Guard, *, fields: bool, words: int | None) -> dict[int, Shared]:
    """Return for each text that holds something of a suite's rows what it shares.

    Args:
        texts: Texts of training rows, strings without nulls.
        guard: What suites ask.
        fields: Whether to search for fields.
        words: Whether to search for so many words in a row.
    """
    found: dict[int, Shared] = {}
    if fields:
        for text, hit in guard.fields.find(texts).items():
            source = guard.source_of_fields[hit.source]
            found[text] = Shared(source, SAME_FIELDS, hit.row, hit.fields, " | ".join(hit.texts))
    if words is not None:
        for text, (source, shared) in guard.find_runs(texts, words).items():
            found.setdefault(text, Shared(source, shared_words(words), words=shared))
    return found


class RowComparison:
    """The rows of a slice alongside those that suites ask about: each is compared once, when it is first asked for.

    Only the columns that the slice's templates read are looked at: nothing else is trained on.
    """

    def __init__(
        self, slice_: Slice, data: SourceData, guard: Guard, *, seed: int, fields: bool, words: int | None
    ) -> None:
        self._guard, self._fields, self._words = guard, fields and len(guard.fields) > 0, words
        if not len(guard.runs):
            self._words = None
        chosen = chosen_rows(slice_, data, seed)
        order = np.argsort(data.rows[chosen], kind="stable")
        self._places, self._numbers = chosen[order], data.rows[chosen][order]
        self._is_done = np.zeros(len(order), bool)
        self._found: dict[int, Shared] = {}
        read = set[str]().union(*(template.prepared("fixed").names for template in slice_.templates))
        columns = [name for name in data.table.column_names if name.replace("-", "_") in read]
        self._table = data.table.select(columns) if columns else data.table

    def find(self, numbers: Int64) -> dict[int, Shared]:
        """Return by number those of these rows that hold something of a suite's rows."""
        if not self._fields and self._words is None:
            return {}
        is_wanted = np.zeros(len(self._numbers), bool)
        is_wanted[np.searchsorted(self._numbers, numbers)] = True
        todo = np.flatnonzero(is_wanted & ~self._is_done)
        self._is_done |= is_wanted
        table = self._table
        step = max(1, _CHUNK_BYTES * max(1, table.num_rows) // max(1, table.nbytes))
        for first in range(0, len(todo), step):
            part = _with_gaps(todo[first : first + step])
            texts = joined_texts(_rows(table, self._places[part]))
            for at, shared in compare_texts(texts, self._guard, fields=self._fields, words=self._words).items():
                self._found[int(self._numbers[part[at]])] = shared
        found = np.fromiter(self._found, np.int64, len(self._found))
        hits = found[is_wanted[np.searchsorted(self._numbers, found)]]
        return {number: self._found[number] for number in np.sort(hits).tolist()}


def _with_gaps(rows: Int64) -> Int64:
    """Return ascending rows with those in between, where these are few: then nothing has to be copied."""
    span = np.arange(rows[0], rows[-1] + 1)
    return span if len(span) <= 1.1 * len(rows) else rows


def _rows(table: pa.Table, places: Int64) -> pa.Table:
    """Return rows by their places; those that follow one another are not copied."""
    if len(places) and np.array_equal(places, np.arange(places[0], places[0] + len(places))):
        return table.slice(int(places[0]), len(places))
    return table.take(pa.array(places))


_CHUNK_BYTES = 4 * 2**20
"""Bytes of rows whose texts are joined at once."""
