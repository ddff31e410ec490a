"""Provenances as Arrow columns, and back: the one place where the two meet.

All examples of one (task, split, template) share nine of the thirteen columns of a mixture. Between rendering and
writing they are kept as a list of provenances and one number per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.records import PROVENANCE_COLUMNS, Provenance

__all__ = ["PROVENANCE_FIELDS", "constant_columns", "group_rows", "grouped_columns"]

PROVENANCE_FIELDS = tuple(pa.field(name, pa.string()) for name in PROVENANCE_COLUMNS)
"""Columns of a provenance, in order."""


def constant_columns(provenance: Provenance, num_rows: int) -> dict[str, pa.Array]:
    """Return the columns of rows that all have one provenance."""
    return {
        field.name: pa.repeat(pa.scalar(getattr(provenance, field.name), field.type), num_rows)
        for field in PROVENANCE_FIELDS
    }


def grouped_columns(groups: Sequence[Provenance], rows: npt.NDArray[np.int32]) -> dict[str, Any]:
    """Return the columns of rows as dictionary-encoded arrays; the inverse of :func:`group_rows`."""
    columns = {}
    for name in PROVENANCE_COLUMNS:
        values: dict[str, int] = {}
        codes = np.array([values.setdefault(getattr(group, name), len(values)) for group in groups], np.int32)
        columns[name] = pa.DictionaryArray.from_arrays(pa.array(codes[rows]), pa.array(list(values), pa.string()))
    return columns


def group_rows(table: pa.Table) -> tuple[list[Provenance], npt.NDArray[np.int32]]:
    """Return the provenances in a prompted table, in order of first appearance, and that of each row ``[n]``.

    ::

        language  template        groups                  group
        "fr"      "ask"           [("fr", "ask"),         0
        "fr"      "tell"    ->     ("fr", "tell")]        1
        "fr"      "ask"                                   0
    """
    codes = np.zeros(table.num_rows, np.int64)
    for name in PROVENANCE_COLUMNS:
        if _is_constant(table.column(name)):
            continue
        column = _encoded(table.column(name))
        codes = codes * len(column.dictionary) + np.asarray(column.indices)
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    by_appearance = np.argsort(first)
    number = np.empty(len(first), np.int32)
    number[by_appearance] = np.arange(len(first), dtype=np.int32)
    rows = table.select(PROVENANCE_COLUMNS).take(pa.array(first[by_appearance])).to_pylist()
    return [Provenance(**row) for row in rows], number[inverse.reshape(-1)]


def _is_constant(column: pa.ChunkedArray) -> bool:
    """Return whether all values are equal, as most columns of one task are: much quicker than encoding them."""
    if len(column) == 0:
        return True
    return bool(pc.all(pc.equal(column, column[0]), skip_nulls=False).as_py())  # a null is equal to nothing


def _encoded(column: pa.ChunkedArray) -> Any:
    if column.null_count and pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column, null_encoding="encode")  # a null is a value of its own
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
