"""Where examples come from, held once per group instead of once per row.

All examples of one (task, split, template) share nine of the thirteen columns of a mixture. Between
rendering and writing they are kept as a list of groups and one number a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["GROUP_COLUMNS", "Group", "group_columns", "group_rows"]


class Group(NamedTuple):
    """The columns that all examples of a group share; see :class:`xmtf.records.PromptedExample`."""

    language: str
    prompt_language: str
    translation: str
    task: str
    cluster: str
    dataset: str
    subset: str
    split: str
    template: str


GROUP_COLUMNS = Group._fields


def group_rows(table: Any) -> tuple[list[Group], npt.NDArray[np.int32]]:
    """Return the groups of a prompted table, in order of first appearance, and the group of each row ``[n]``.

    ::

        language  template        groups                  group
        "fr"      "ask"           [("fr", "ask"),         0
        "fr"      "tell"    ->     ("fr", "tell")]        1
        "fr"      "ask"                                   0
    """
    codes = np.zeros(table.num_rows, np.int64)
    for name in GROUP_COLUMNS:
        column = _encoded(table.column(name))
        if len(column.dictionary) > 1:
            codes = codes * len(column.dictionary) + np.asarray(column.indices)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    number = np.empty(len(first), np.int32)
    number[by_appearance] = np.arange(len(first), dtype=np.int32)
    rows = table.select(GROUP_COLUMNS).take(pa.array(first[by_appearance])).to_pylist()
    return [Group(**row) for row in rows], number[inverse.reshape(-1)]


def _encoded(column: Any) -> Any:
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def group_columns(groups: list[Group], rows: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Return the shared columns of rows as dictionary-encoded Arrow arrays; the inverse of :func:`group_rows`."""
    columns = {}
    for position, name in enumerate(GROUP_COLUMNS):
        values: dict[str, int] = {}
        codes = np.array([values.setdefault(group[position], len(values)) for group in groups], np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes[rows]), pa.array(list(values), pa.string()))
    return columns
