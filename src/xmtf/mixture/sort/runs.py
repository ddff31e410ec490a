"""Runs: rendered examples of one language, sorted by key, as they wait to be merged.

A run is an Arrow file that is mapped into memory, so a part of the mixture reads only the pages that
hold its range of keys. Columns: the texts, the row, the group (a number into the run's list of
groups), the two words of the key, and of conversations their messages.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xmtf.mixture.select.choose import Chosen
from xmtf.mixture.select.keys import Keys
from xmtf.records import MESSAGES, Provenance

__all__ = ["Run", "read_keys", "read_range", "write_runs"]

_TEXT = pa.large_string()
_SCHEMA = pa.schema(
    [
        ("inputs", _TEXT),
        ("targets", _TEXT),
        ("choices", pa.list_(pa.string())),
        ("row", pa.int64()),
        ("group", pa.int32()),
        ("high", pa.uint64()),
        ("low", pa.uint64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Run:
    """One sorted file.

    Attributes:
        file: Name in the shard's folder.
        language: Language of all its examples.
        rows: Number of examples.
        groups: The groups that its rows point into.
    """

    file: str
    language: str
    rows: int
    groups: list[Provenance]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "file": self.file,
            "language": self.language,
            "rows": self.rows,
            "groups": [astuple(group) for group in self.groups],
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Run:
        """Read what :meth:`to_json` gave."""
        return Run(value["file"], value["language"], value["rows"], [Provenance(*group) for group in value["groups"]])


def write_runs(folder: Path, prefix: str, chosen: Chosen) -> list[Run]:
    """Write one run for each language of the chosen examples; return them, ordered by language.

    Args:
        folder: Folder of the shard.
        prefix: First part of the file names, unique in the shard.
        chosen: Examples with their keys and groups.
    """
    languages = sorted({group.language for group in chosen.groups})
    runs = []
    for number, language in enumerate(languages):
        rows = np.arange(len(chosen.keys))
        if len(languages) > 1:
            rows = np.flatnonzero(
                np.array([group.language == language for group in chosen.groups])[chosen.group_of_row]
            )
        if len(rows) == 0:
            continue
        file = f"{prefix}-{number}.arrow"
        _write_run(folder / file, chosen, rows)
        runs.append(Run(file, language, len(rows), chosen.groups))
    return runs


def _write_run(path: Path, chosen: Chosen, rows: npt.NDArray[np.int64]) -> None:
    keys = chosen.keys.take(rows)
    order = keys.order()
    rows, keys = rows[order], keys.take(order)
    schema = _SCHEMA
    if MESSAGES in chosen.rendered.column_names:
        schema = schema.append(pa.field(MESSAGES, _TEXT))
    columns = [name for name in schema.names if name in chosen.rendered.column_names]
    places = rows if chosen.places is None else chosen.places[rows]
    taken = chosen.rendered.select(columns).take(pa.array(places))
    own = {
        "group": pa.array(chosen.group_of_row[rows], pa.int32()),
        "high": pa.array(keys.high),
        "low": pa.array(keys.low),
    }
    of_rows = {name: taken.column(name) for name in taken.column_names} | own
    table = pa.table([of_rows[name] for name in schema.names], names=schema.names).cast(schema).combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table)


def read_keys(path: Path, start: int, stop: int | None) -> Keys:
    """Return the keys of a run with ``start <= high < stop``, sorted."""
    table = read_range(path, start, stop)
    return Keys(*(_numbers(table, name).copy() for name in ("high", "low")))


def read_range(path: Path, start: int, stop: int | None) -> Any:
    """Return the examples with ``start <= high < stop``: a slice of the mapped file, nothing is copied."""
    table = _map(path)
    high = _numbers(table, "high")
    first = int(np.searchsorted(high, np.uint64(start)))
    last = len(high) if stop is None else int(np.searchsorted(high, np.uint64(stop)))
    return table.slice(first, last - first)


def _map(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _numbers(table: pa.Table, name: str) -> Any:
    return table.column(name).chunk(0).to_numpy(zero_copy_only=True)
