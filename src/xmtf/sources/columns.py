"""Tables that hold many subsets side by side: of FLORES one row is a sentence in 200 languages.

A pair of languages needs two of its columns, and thousands of pairs read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.sources.reference import SourceRef

__all__ = ["holds_columns", "read_wanted", "wanted_columns"]

_SENTENCE = "sentence_"


def wanted_columns(ref: SourceRef, names: Sequence[str]) -> list[str] | None:
    """Return the columns of a table that a subset of two languages needs; None for all."""
    if not ref.table:
        return None
    own = _own(ref)
    return [name for name in names if not name.startswith(_SENTENCE) or name in own]


def holds_columns(ref: SourceRef, files: Sequence[Path]) -> bool:
    """Return whether a table has what a subset needs; other than Parquet it is taken to."""
    if not ref.table or any(path.suffix != ".parquet" for path in files):
        return True
    return all(_own(ref) <= set(_names(path, path.stat().st_mtime_ns)) for path in files)


def read_wanted(ref: SourceRef, files: Sequence[Path]) -> pa.Table | None:
    """Read what a subset needs of a table; None where the files are no such table.

    Raises:
        SourceError: A file cannot be read.
    """
    if not ref.table or any(path.suffix != ".parquet" for path in files):
        return None
    try:
        tables = [
            pq.read_table(path, columns=wanted_columns(ref, _names(path, path.stat().st_mtime_ns))) for path in files
        ]
        return pa.concat_tables(tables, promote_options="permissive").replace_schema_metadata(None)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{files[0]}: cannot be read: {' '.join(str(error).split())}") from None


def _own(ref: SourceRef) -> set[str]:
    return {f"{_SENTENCE}{code}" for code in ref.subset.split("-")}


@lru_cache(maxsize=1024)
def _names(path: Path, stamp: int) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
