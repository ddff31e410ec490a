"""Rows of several subsets as one: a sentence and its translation, where every language is its own subset.

::

    eng_Latn                  swh_Latn              joined on id
    id  text    topic         id  text              id  source_text  source_topic  target_text   row
    1   Hello   greetings     2   Paka              2   A cat        animals       Paka          2
    2   A cat   animals       3   Mbwa

What precedes the names of columns is the recipe's or the catalogue's; the column that is joined on keeps its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError
from xmtf.sources.adapters.base import Adapted
from xmtf.sources.reference import Join, SourceRef

__all__ = ["NO_KEY", "UNMATCHED", "join_tables"]

NO_KEY = "no key to join by"
UNMATCHED = "not in all of the subsets that are joined"
"""Reasons of rows of the first subset that are left out."""


def join_tables(ref: SourceRef, join: Join, tables: Mapping[str, pa.Table]) -> Adapted:
    """Join the rows of subsets, in the order of the first one.

    Rows are numbered by their key, so that a row has the same number whatever is joined with it: the key itself where
    keys are whole numbers from 0, otherwise a number that the key alone decides.

    Args:
        ref: Names them in errors.
        join: What is joined.
        tables: What precedes the names of columns -> the subset's rows.

    Raises:
        SourceError: A subset has no such column, its keys are not numbers or texts, or two rows have the same.
    """
    keys = {name: _keys(ref, join, name, table) for name, table in tables.items()}
    first, *others = keys
    if len({each.type for each in keys.values()}) > 1:
        kinds = ", ".join(f"{join.subsets[name]}: {each.type}" for name, each in keys.items())
        raise SourceError(f"{ref}: column {join.on!r} to join by is not of one type in all subsets ({kinds})")
    kept = np.asarray(pc.is_valid(keys[first]))
    without_key = int((~kept).sum())
    for name in others:
        kept &= np.asarray(pc.is_in(keys[first], value_set=keys[name]))
    joined = keys[first].filter(pa.array(kept))
    columns = {join.on: joined}
    for name, table in tables.items():
        places = pc.index_in(joined, value_set=keys[name])
        part = table.drop_columns([join.on]).take(places)
        columns |= {f"{name}_{column}": part.column(column) for column in part.column_names}
    numbers = _numbers(joined)
    if len(np.unique(numbers)) < len(numbers):  # one chance in thousands for a million texts
        raise SourceError(f"{ref}: two keys of column {join.on!r} have the same row number; join on another column")
    dropped = {NO_KEY: without_key, UNMATCHED: int((~kept).sum()) - without_key}
    counted = {reason: count for reason, count in dropped.items() if count}
    return Adapted(pa.table(columns), numbers, counted)


def _keys(ref: SourceRef, join: Join, name: str, table: pa.Table) -> pa.Array:
    """Return the keys of a subset's rows, as int64 or text, null where a row has none."""
    where = f"{ref}: subset {join.subsets[name]!r}"
    if join.on not in table.column_names:
        raise SourceError(f"{where} has no column {join.on!r} to join by; there are {', '.join(table.column_names)}")
    keys = table.column(join.on).combine_chunks()
    if pa.types.is_integer(keys.type):
        keys = keys.cast(pa.int64())
    elif pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type):
        keys = keys.cast(pa.large_string())
    else:
        raise SourceError(
            f"{where}: column {join.on!r} to join by is of type {keys.type}; name one of numbers or texts"
        )
    counts = pc.value_counts(keys.drop_null())
    twice = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise SourceError(f"{where}: {len(twice):,} keys occur in several rows of {join.on!r}: {twice[0]['values']}")
    return keys


def _numbers(keys: pa.Array) -> np.ndarray:
    """Return the number of each row, int64 ``[rows]``."""
    if pa.types.is_int64(keys.type) and not (np.asarray(keys) < 0).any():
        return np.asarray(keys)
    return np.array([_number(key) for key in keys.to_pylist()], dtype=np.int64)


def _number(key: int | str) -> int:
    if isinstance(key, int) and key >= 0:
        return key
    return int.from_bytes(hashlib.sha256(str(key).encode()).digest()[:6], "big")
