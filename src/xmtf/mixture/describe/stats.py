"""Counts and lengths of a built mixture, by any of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.mixture.describe.composition import read_composition, read_slices, totals
from xmtf.mixture.io.read import matches_filters, select_examples
from xmtf.mixture.sort.merge import NOT_SAMPLED
from xmtf.records import PROVENANCE_COLUMNS

__all__ = ["QUANTILES", "mixture_stats", "rate_table"]

QUANTILES = (0.05, 0.5, 0.95)
"""Quantiles of the lengths that are shown."""


def mixture_stats(
    folder: Path, by: Sequence[str], *, lengths: bool = False, filters: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return one record for each value of the columns ``by``, largest first.

    Args:
        folder: Folder of the mixture.
        by: Of :data:`xmtf.records.PROVENANCE_COLUMNS`.
        lengths: Also read the texts and give quantiles of their lengths in characters.
        filters: Count only the examples that match them (see :func:`xmtf.mixture.io.read.select_examples`).

    Raises:
        UnknownNameError: No such column.
        ConfigError: No example matches the filters.
        DataError: The folder holds no mixture.
    """
    for column in by:
        if column not in PROVENANCE_COLUMNS:
            raise UnknownNameError("column", column, PROVENANCE_COLUMNS, "--by")
    filters = dict(filters or {})
    for column in filters:
        if column not in PROVENANCE_COLUMNS:
            raise UnknownNameError("column", column, PROVENANCE_COLUMNS, f"filter {column}={filters[column]}")
    counts = [count for count in read_composition(folder) if matches_filters(count.to_json(), filters)]
    if not counts:
        raise ConfigError(
            f"{folder}: no example matches {' '.join(f'{name}={text}' for name, text in filters.items())}"
        )
    sums = totals(counts, by)
    total = sum(examples for examples, _, _ in sums.values())
    quantiles = _quantiles(folder, by, filters) if lengths else {}
    return [
        dict(zip(by, key, strict=True))
        | {
            "examples": examples,
            "share": round(examples / total, 6),
            "input_characters": inputs,
            "target_characters": targets,
        }
        | quantiles.get(key, {})
        for key, (examples, inputs, targets) in sums.items()
    ]


def rate_table(folder: Path) -> list[dict[str, Any]]:
    """Return for each task what a sampled mixture could take and what it took, largest first.

    ``available`` counts examples after filters, caps and deduplication; ``kept`` is the part of them that was
    taken, ``share`` the part of the mixture.

    Args:
        folder: Folder of the mixture.

    Raises:
        DataError: The folder holds no mixture.
    """
    sums: dict[str, list[int]] = {}
    for line in read_slices(folder):
        entry = sums.setdefault(line["task"], [0, 0])
        entry[0] += line["out"] + line["dropped"].get(NOT_SAMPLED, 0)
        entry[1] += line["out"]
    total = sum(taken for _, taken in sums.values())
    ordered = sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
    return [
        {
            "task": task,
            "available": available,
            "examples": taken,
            "kept": taken / max(available, 1),
            "share": taken / max(total, 1),
        }
        for task, (available, taken) in ordered
    ]


def _quantiles(folder: Path, by: Sequence[str], filters: dict[str, str]) -> dict[tuple[str, ...], dict[str, float]]:
    found: dict[tuple[str, ...], list[npt.NDArray[np.int64]]] = {}
    for table in select_examples(folder, filters, columns=tuple(dict.fromkeys([*by, *filters, "inputs", "targets"]))):
        sizes = np.column_stack([np.asarray(pc.utf8_length(table.column(name))) for name in ("inputs", "targets")])
        keys = list(zip(*(table.column(name).to_pylist() for name in by), strict=True))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        codes = np.array([numbers[key] for key in keys])
        for key, number in numbers.items():
            found.setdefault(key, []).append(sizes[codes == number])
    result = {}
    for key, parts in found.items():
        values = np.quantile(np.concatenate(parts), QUANTILES, axis=0)
        result[key] = {
            f"{name}_p{round(100 * quantile)}": float(values[row, column])
            for column, name in enumerate(("input", "target"))
            for row, quantile in enumerate(QUANTILES)
        }
    return result
