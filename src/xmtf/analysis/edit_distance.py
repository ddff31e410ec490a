"""How far apart two texts of a row are, by label: whether a label can be guessed from overlap alone.

The published table has the mean Levenshtein distance in characters between premise and hypothesis of
XNLI's validation split: entailed hypotheses are nearer to their premises, in every language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xmtf.errors import ConfigError, UnknownNameError

__all__ = ["PairColumns", "edit_distances"]


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Columns that a distance is taken of.

    Attributes:
        first: Column of the first text.
        second: Column of the second text.
        label: Column of labels.
        names: Names of integer labels, in order; empty leaves them as they are.
    """

    first: str = "premise"
    second: str = "hypothesis"
    label: str = "label"
    names: tuple[str, ...] = ("entailment", "neutral", "contradiction")


def edit_distances(table: Any, columns: PairColumns, where: str) -> list[dict[str, Any]]:
    """Return ``label, examples, mean_distance, median_distance`` for each label, in the order of the labels.

    Distances are Levenshtein's, in characters.

    Args:
        table: Arrow table of raw rows.
        columns: What to compare.
        where: Names the rows in errors.

    Raises:
        UnknownNameError: No such column.
        ConfigError: A label has no name, or a column has no text.
    """
    for name in (columns.first, columns.second, columns.label):
        if name not in table.column_names:
            raise UnknownNameError("column", name, table.column_names, where)
    distances = _distances(table.column(columns.first).to_pylist(), table.column(columns.second).to_pylist(), where)
    labels = table.column(columns.label).to_pylist()
    records = []
    for label in sorted(set(labels)):
        of_label = distances[[value == label for value in labels]]
        records.append(
            {
                "label": _name(label, columns.names, where),
                "examples": len(of_label),
                "mean_distance": round(float(of_label.mean()), 4),
                "median_distance": float(np.median(of_label)),
            }
        )
    return records


def _distances(first: Sequence[Any], second: Sequence[Any], where: str) -> Any:
    from rapidfuzz.distance import Levenshtein

    for row, pair in enumerate(zip(first, second, strict=True)):
        if not all(isinstance(text, str) for text in pair):
            raise ConfigError(f"{where}: row {row} has no texts to compare, only {pair[0]!r} and {pair[1]!r}")
    return np.array([Levenshtein.distance(a, b) for a, b in zip(first, second, strict=True)], np.int64)


def _name(label: object, names: tuple[str, ...], where: str) -> str:
    if not names or not isinstance(label, int):
        return str(label)
    if not 0 <= label < len(names):
        raise ConfigError(f"{where}: label {label} is not named in --labels {','.join(names)}")
    return names[label]
