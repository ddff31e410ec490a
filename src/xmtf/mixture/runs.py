"""Runs: rendered examples of one language, sorted by key, as they wait to be merged.

A run is an Arrow file that is mapped into memory, so a part of the mixture reads only the pages that
hold its range of keys. Columns: the texts, the row, the group (a number into the run's list of
groups) and the two words of the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xmtf.mixture.groups import Group
from xmtf.mixture.keys import Keys

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
    groups: list[Group]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"file": self.file, "language": self.language, "rows": self.rows, "groups": [[*g] for g in self.groups]}

    @staticmethod
    def from_json(value: dict[str, Any]) -> Run:
        """Read what :meth:`to_json` gave."""
        return Run(value["file"], value["language"], value["rows"], [Group(*group) for group in value["groups"]])


def write_runs(folder: Path, prefix: str, table: Any, keys: Keys, groups: list[Group], group_of_row: Any) -> list[Run]:
    """Write one run for each language of a rendered table; return them, ordered by language.

    Args:
        folder: Folder of the shard.
        prefix: First part of the file names, unique in the shard.
        table: Prompted examples.
        keys: Their keys.
        groups: Their groups.
        group_of_row: int32 ``[n]``.
    """
    languages = sorted({group.language for group in groups})
    runs = []
    for number, language in enumerate(languages):
        wanted = np.array([group.language == language for group in groups])
        rows = np.flatnonzero(wanted[group_of_row])
        if len(rows) == 0:
            continue
        own_keys = keys.take(rows)
        order = own_keys.order()
        rows, own_keys = rows[order], own_keys.take(order)
        texts = table.select(["inputs", "targets", "choices", "row"]).take(pa.array(rows))
        columns = [
            *texts.columns,
            pa.array(group_of_row[rows], pa.int32()),
            pa.array(own_keys.high),
            pa.array(own_keys.low),
        ]
        sorted_table = pa.table(columns, names=_SCHEMA.names).cast(_SCHEMA).combine_chunks()
        file = f"{prefix}-{number}.arrow"
        with pa.OSFile(str(folder / file), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            writer.write_table(sorted_table)
        runs.append(Run(file, language, len(rows), groups))
    return runs


def read_keys(path: Path) -> Keys:
    """Return the keys of a run, sorted."""
    table = _map(path)
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


def _numbers(table: Any, name: str) -> Any:
    return table.column(name).chunk(0).to_numpy(zero_copy_only=True)
