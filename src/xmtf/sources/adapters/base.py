"""What an adapter takes and gives, and the few table operations that all of them need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError
from xmtf.languages.codes import get_language
from xmtf.sources.reference import SourceRef

__all__ = ["Adapted", "Adapter", "PlacedAdapter", "column", "keep", "language_names", "numbers", "with_column"]


@dataclass(frozen=True, slots=True)
class Adapted:
    """A table after its fix-up.

    Attributes:
        table: The rows that templates see.
        rows: Index of each of them in the split, [rows] int64; None where every row was kept.
        dropped: Rows left out, counted by reason.
    """

    table: pa.Table
    rows: np.ndarray | None = None
    dropped: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def join(parts: Sequence[Adapted]) -> Adapted:
        """Return parts of a split, whose rows are numbered, as one."""
        if len(parts) == 1:
            return parts[0]
        dropped = Counter[str]()
        for part in parts:
            dropped.update(part.dropped)
        rows = [np.empty(0, np.int64), *(part.rows for part in parts if part.rows is not None)]
        return Adapted(pa.concat_tables(part.table for part in parts), np.concatenate(rows), dict(dropped))


Adapter = Callable[[SourceRef, pa.Table], Adapted]
"""A small pure function from the rows of a split to the rows that templates see."""

PlacedAdapter = Callable[[SourceRef, pa.Table, int], Adapted]
"""One that depends on the numbers of the rows: it is told that of the first."""


def keep(table: pa.Table, mask: Sequence[bool] | np.ndarray, reason: str) -> Adapted:
    """Keep the rows where ``mask`` is true and count the others under ``reason``."""
    mask = np.asarray(mask, dtype=bool)
    dropped = int(len(mask) - mask.sum())
    if not dropped:
        return Adapted(table)
    return Adapted(table.filter(pa.array(mask)), np.flatnonzero(mask).astype(np.int64), {reason: dropped})


def column(ref: SourceRef, table: pa.Table, name: str) -> list[Any]:
    """Return a column as Python values.

    Raises:
        SourceError: There is no such column; names those that there are.
    """
    _check_column(ref, table, name)
    values: list[Any] = table.column(name).to_pylist()
    return values


def numbers(ref: SourceRef, table: pa.Table, name: str) -> np.ndarray:
    """Return a column as numbers, float64 ``[rows]``, NaN where it has none.

    Raises:
        SourceError: There is no such column, or it holds something else; says which there are.
    """
    _check_column(ref, table, name)
    try:
        column = table.column(name).cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise SourceError(f"{ref}: adapter {ref.adapter!r}: column {name!r} has no numbers ({error})") from None
    return np.asarray(pc.fill_null(column, np.nan), dtype=np.float64)


def _check_column(ref: SourceRef, table: pa.Table, name: str) -> None:
    if name not in table.column_names:
        raise SourceError(
            f"{ref}: adapter {ref.adapter!r} needs the column {name!r}; there are {', '.join(table.column_names)}"
        )


def with_column(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    """Return the table with a text column added, or replaced where it is there."""
    array = pa.array(values, pa.string())
    index = table.schema.get_field_index(name)
    return table.append_column(name, array) if index < 0 else table.set_column(index, name, array)


def language_names(codes: Sequence[str]) -> list[str]:
    """Return the English names of languages given in any spelling, as a prompt would write them.

    >>> language_names(["fra_Latn", "zho-CN", "sw"])
    ['French', 'Simplified Chinese', 'Swahili']
    """
    names = {code: _spoken(get_language(code).name) for code in set(codes)}
    return [names[code] for code in codes]


def _spoken(name: str) -> str:
    """Turn a name of the language table into one that reads well inside a sentence."""
    base, _, variant = name.removesuffix(" (Latin script)").removesuffix(")").partition(" (")
    return f"{variant} {base}" if variant in {"Simplified", "Traditional", "Romanized"} else name.split(" (Latin")[0]
