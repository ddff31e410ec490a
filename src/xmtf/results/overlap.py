"""Which rows of evaluation sets a mixture holds: written by the analysis of overlap, joined to scores by reports.

One row an item, in ``overlap.parquet``::

    task      split       row   seen
    xnli/fr   validation  0     true      the mixture holds the row, its prompt or a run of its words
    xnli/fr   validation  1     false     searched, not found

Its metadata name the mixture, the words in a run and the hash of the data of each split, so that what was found in
other data is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import DataError, SourceError
from xmtf.files import atomic_path

__all__ = ["OVERLAP", "Overlap", "place_of", "read_overlap", "write_overlap"]

OVERLAP = "overlap.parquet"
_METADATA = b"xmtf_overlap"
Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def place_of(task: str, split: str) -> str:
    """Return the name of a split of a task."""
    return f"{task} [{split}]"


@dataclass(frozen=True, slots=True)
class Overlap:
    """What a mixture shares with evaluation sets.

    Attributes:
        mixture: Fingerprint of the mixture, or ``""`` where it has no manifest.
        words: Words in a shared run.
        data: Place (:func:`place_of`) -> hash of the data that were searched for.
        found: Place -> rows that were searched for, sorted, and which of them are in the mixture.
    """

    mixture: str
    words: int
    data: Mapping[str, str]
    found: Mapping[str, tuple[Rows, Flags]]

    def seen(self, task: str, split: str, rows: Rows) -> Flags | None:
        """Return for rows whether they are in the mixture; None where one of them was not searched for."""
        known, flags = self.found.get(place_of(task, split), (np.empty(0, np.int64), np.empty(0, np.bool_)))
        places = np.searchsorted(known, rows)
        if not len(known) or (places == len(known)).any() or (known[places] != rows).any():
            return None
        return flags[places]


def write_overlap(path: Path, overlap: Overlap) -> None:
    """Write a file of overlap, atomically."""
    tasks, splits, rows, seen = [], [], [], []
    for place, (known, flags) in overlap.found.items():
        task, _, split = place.removesuffix("]").rpartition(" [")
        tasks += [task] * len(known)
        splits += [split] * len(known)
        rows.append(known)
        seen.append(flags)
    told = {"mixture": overlap.mixture, "words": overlap.words, "data": dict(overlap.data)}
    table = pa.table(
        {
            "task": pa.array(tasks, pa.string()),
            "split": pa.array(splits, pa.string()),
            "row": np.concatenate([np.empty(0, np.int64), *rows]),
            "seen": np.concatenate([np.empty(0, np.bool_), *seen]),
        }
    ).replace_schema_metadata({_METADATA: orjson.dumps(told)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_overlap(path: Path) -> Overlap:
    """Read a file of overlap, or that of the folder that an analysis wrote.

    Raises:
        SourceError: There is none.
        DataError: The file is another one.
    """
    file = path / OVERLAP if path.is_dir() else path
    if not file.is_file():
        raise SourceError(f"{path}: has no {OVERLAP}; `xmtf analyze contamination MIXTURE --out {path}` writes it")
    try:
        table = pq.read_table(file)
        told = orjson.loads((table.schema.metadata or {})[_METADATA])
        groups: dict[str, list[int]] = {}
        for place, (task, split) in enumerate(zip(table["task"].to_pylist(), table["split"].to_pylist(), strict=True)):
            groups.setdefault(place_of(task, split), []).append(place)
        rows, seen = table["row"].to_numpy(), table["seen"].to_numpy(zero_copy_only=False)
        found = {name: _sorted(rows[places], seen[places]) for name, places in groups.items()}
        return Overlap(str(told["mixture"]), int(told["words"]), dict(told["data"]), found)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        raise DataError(f"{file}: not an overlap file written by `xmtf analyze contamination`, or damaged") from None


def _sorted(rows: Rows, seen: Flags) -> tuple[Rows, Flags]:
    order = np.argsort(rows, kind="stable")
    return rows[order], seen[order]
