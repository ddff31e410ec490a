"""Evaluation items that a text holds by their fields: all of them, as the guard of a mixture compares rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.mixture.select.asked_fields import AskedFields, asked_fields
from xmtf.mixture.select.field_index import FieldIndex
from xmtf.mixture.select.merge_fields import merge_fields
from xmtf.mixture.select.row_texts import texts_of_rows

__all__ = ["FieldReader", "FieldSearch", "SharedFields"]

Int64 = npt.NDArray[np.int64]


class SharedFields(NamedTuple):
    """What a text shares with an item: ``text`` is its number; ``fields`` and ``shared`` name and hold the fields."""

    text: int
    item: int
    fields: tuple[str, ...]
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldSearch:
    """The fields of all items.

    Attributes:
        index: Of the fields.
        item_of: (slice, row) -> item.
        measurable: Which items have fields that say enough to be found by, bool ``[items]``.
    """

    index: FieldIndex
    item_of: dict[tuple[int, int], int]
    measurable: npt.NDArray[np.bool_]

    def find(self, texts: Sequence[str]) -> Iterator[SharedFields]:
        """Yield every item that a text holds a field of, or two."""
        for text, hit in self.index.find_every(texts):
            yield SharedFields(text, self.item_of[hit.source, hit.row], hit.fields, hit.texts)


@dataclass(slots=True)
class FieldReader:
    """Gathers the fields of items, slice by slice."""

    _fields: list[AskedFields] = field(default_factory=list)
    _suites: list[str] = field(default_factory=list)
    _splits: list[str] = field(default_factory=list)
    _texts: list[list[str]] = field(default_factory=list)
    _item_of: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, table: pa.Table, rows: Int64, suite: str, split: str) -> None:
        """Take over the items of a slice, which follow those before.

        Args:
            table: Their raw rows.
            rows: Their numbers in the split.
            suite: Name of the suite.
            split: Dataset and split.
        """
        for row in rows.tolist():
            self._item_of[len(self._fields), row] = len(self._item_of)
        self._fields.append(asked_fields(table, rows))
        self._suites.append(suite)
        self._splits.append(split)
        self._texts.append(texts_of_rows(table))

    def search(self) -> FieldSearch:
        """Return the fields of all items; those that are not found in their own rows cannot be measured."""
        index = merge_fields(self._fields, self._suites, self._splits)
        search = FieldSearch(index, self._item_of, np.zeros(len(self._item_of), np.bool_))
        first = 0
        for texts in self._texts:
            for found in search.find(texts):
                if found.item == first + found.text:
                    search.measurable[found.item] = True
            first += len(texts)
        return search
