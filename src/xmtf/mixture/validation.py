"""Which examples of a mixture are kept for validation: those of some rows, under all prompts.

A row is (dataset, split, number); its subset is left out, so that translations of a row, which share its number, are
kept together too. Every row has a number that looks drawn and depends on the row alone; those with the largest are
kept, until their examples are as many as the fraction of the language needs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.io.read import mixture_languages, read_mixture
from xmtf.mixture.select.keys import UInt64, hash_strings, mix

__all__ = ["ROW_COLUMNS", "held_out_rows", "validation_limits"]

ROW_COLUMNS = ("dataset", "split", "row")
"""Columns that name the row of an example."""

_EXACT_EXAMPLES = 2**22
"""Of more examples the drawn numbers alone decide: the share that they give is as good as exact."""


def validation_limits(mixture: Path, fraction: float) -> dict[str, int | None]:
    """Return for each language the number from which on its rows are for validation; None where none is.

    Args:
        mixture: Folder of a mixture.
        fraction: Share of the examples; the rows whose examples come nearest to it are kept, and never all.
    """
    limits: dict[str, int | None] = {}
    for language, count in mixture_languages(mixture).items():
        if not fraction or not count:
            limits[language] = None
        elif count > _EXACT_EXAMPLES:
            limits[language] = min(2**64 - 1, int((1 - fraction) * 2**64))
        else:
            tables = read_mixture(mixture, language=language, columns=ROW_COLUMNS)
            limits[language] = _limit(np.concatenate([_drawn(table) for table in tables]), fraction)
    return limits


def held_out_rows(columns: pa.Table | pa.RecordBatch, limit: int | None) -> npt.NDArray[np.bool_]:
    """Return which examples are for validation, bool ``[n]``.

    Args:
        columns: Examples with :data:`ROW_COLUMNS`.
        limit: Of their language, see :func:`validation_limits`.
    """
    drawn = _drawn(columns)
    return np.zeros(len(drawn), bool) if limit is None else drawn >= np.uint64(limit)


def _limit(drawn: UInt64, fraction: float) -> int | None:
    rows, counts = np.unique(drawn, return_counts=True)
    kept = np.cumsum(counts[:0:-1])  # of the last row, the last two, ...; never of all
    wanted = fraction * len(drawn)
    if not len(kept):
        return None
    best = int(np.argmin(np.abs(kept - wanted)))
    return int(rows[-1 - best]) if abs(int(kept[best]) - wanted) < wanted else None


def _drawn(columns: pa.Table | pa.RecordBatch) -> UInt64:
    """Return the number of each example's row, uint64 ``[n]``."""
    names = pc.binary_join_element_wise(
        *(pc.fill_null(_plain(columns[name]), "") for name in ("dataset", "split")), "\x1f"
    ).dictionary_encode()
    places = hash_strings(names.dictionary)[:, 0][np.asarray(names.indices)]
    numbers = np.asarray(pc.fill_null(_plain(columns["row"]), -1)).astype(np.int64).view(np.uint64)
    return mix(mix(places) + numbers)


def _plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    array = column
    if isinstance(column, pa.ChunkedArray):
        array = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
