"""Write one part of the mixture: the examples of one language within a range of keys."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmtf.files import file_sha256, read_json
from xmtf.mixture.select.keys import Keys
from xmtf.mixture.sort.order import within_limits
from xmtf.mixture.sort.runs import read_range
from xmtf.provenance import grouped_columns
from xmtf.records import MESSAGES, PROMPTED_COLUMNS, PROVENANCE_COLUMNS, Provenance

__all__ = ["PART_FILE", "composition_of", "write_part"]

PART_FILE = "part.parquet"

_ROW_GROUP = 10_000


def write_part(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write ``part.parquet``: a shard function (see :mod:`xmtf.execution.plan`).

    Args:
        spec: ``order`` (file with the runs of the language, relative to the work folder, and ``order_hash`` of its
            content), ``start``, ``stop``.
        folder: Folder of this part, two levels below the work folder.

    Returns:
        ``rows``, ``sha256`` and ``composition`` (see :func:`composition_of`).
    """
    work = folder.parent.parent
    order = read_json(work / spec["order"])
    runs = order["runs"]
    slices = [read_range(work / run["path"], spec["start"], spec["stop"]) for run in runs]
    groups, offsets = _all_groups(runs)
    table = pa.concat_tables(slices, promote_options="default").combine_chunks()
    run_of_row = np.repeat(np.arange(len(runs), dtype=np.int32), [len(part) for part in slices])
    kept = _kept_rows(table, run_of_row, [run["limit"] for run in runs])
    group_of_row = (_numbers(table, "group") + offsets[run_of_row])[kept]
    names = ["inputs", "targets", "choices", "row"]
    names += [MESSAGES] if MESSAGES in table.column_names else []  # where one of its runs holds conversations
    texts = table.select(names)
    if not np.array_equal(kept, np.arange(table.num_rows)):  # one run without duplicates is in order as it is
        texts = texts.take(pa.array(kept))
    columns = grouped_columns(groups, group_of_row) | {name: texts.column(name) for name in names}
    written = [*PROMPTED_COLUMNS, *names[4:]]
    _write_parquet(pa.table({name: columns[name] for name in written}), folder / PART_FILE)
    return {
        "rows": len(kept),
        "sha256": file_sha256(folder / PART_FILE),
        "composition": composition_of(texts, groups, group_of_row),
    }


def _all_groups(runs: list[dict[str, Any]]) -> tuple[list[Provenance], npt.NDArray[np.int32]]:
    """Return the groups of all runs, and at which of them each run's own begin."""
    groups = [Provenance(*group) for run in runs for group in run["groups"]]
    sizes = [len(run["groups"]) for run in runs]
    return groups, np.cumsum([0, *sizes[:-1]]).astype(np.int32)


def _kept_rows(table: pa.Table, run_of_row: npt.NDArray[np.int32], limits: list[int | None]) -> npt.NDArray[np.int64]:
    """Return the rows that stay, in the order of their keys: no duplicates, and of a sampled run only the sample."""
    keys = Keys(_numbers(table, "high"), _numbers(table, "low"))
    order = keys.order()
    kept: npt.NDArray[np.int64] = order[keys.is_first(order)]
    return kept[within_limits(keys.take(kept), run_of_row[kept], limits)]


def composition_of(texts: Any, groups: list[Provenance], group_of_row: npt.NDArray[np.int32]) -> list[list[Any]]:
    """Return one row ``[*group, examples, input characters, target characters]`` for each group that has examples."""
    counts = np.bincount(group_of_row, minlength=len(groups))
    characters = [
        np.bincount(group_of_row, weights=np.asarray(pc.utf8_length(texts.column(name))), minlength=len(groups))
        for name in ("inputs", "targets")
    ]
    return [
        [*astuple(groups[index]), int(counts[index]), *(int(column[index]) for column in characters)]
        for index in np.flatnonzero(counts)
    ]


def _write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table with the plain types that every reader knows; equal tables give equal bytes."""
    plain = [*PROVENANCE_COLUMNS, "row"]
    with pq.ParquetWriter(
        path,
        table.schema,
        compression="zstd",
        use_dictionary=plain,
        write_statistics=plain,
        store_schema=False,  # dictionary columns read back as plain strings
    ) as writer:
        writer.write_table(table, row_group_size=_ROW_GROUP)


def _numbers(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0).to_numpy() if column.num_chunks == 1 else np.asarray(column)
