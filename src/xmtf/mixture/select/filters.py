"""Which prompted examples are kept: filters and caps, each drop with its reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.mixture.select.keys import UInt64
from xmtf.recipe.schema import CapPolicy
from xmtf.tasks.caps import within_cap

__all__ = ["CAPPED", "cap_rows", "unfit_rows"]

CAPPED = "over the cap"
"""Reason of examples that a cap left out."""


def unfit_rows(
    table: pa.Table, *, min_input_characters: int, max_characters: int | None
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return for each reason a mask ``[n]`` of the examples that it drops; no example has two reasons.

    Args:
        table: Prompted examples.
        min_input_characters: Inputs with fewer characters are unfit.
        max_characters: Examples with more characters in inputs and targets together are unfit.
    """
    inputs, targets = table.column("inputs"), table.column("targets")
    reasons = {
        "empty inputs": _shorter(inputs, 1),
        "empty target": _shorter(targets, 1),
        f"inputs under {min_input_characters} characters": _shorter(inputs, min_input_characters),
    }
    if max_characters is not None:
        characters = _lengths(inputs) + _lengths(targets)
        reasons[f"over {max_characters} characters"] = characters > max_characters
    taken = np.zeros(table.num_rows, dtype=bool)
    for reason, mask in reasons.items():
        reasons[reason] = mask & ~taken
        taken |= mask
    return {reason: mask for reason, mask in reasons.items() if mask.any()}


def _shorter(column: pa.ChunkedArray, characters: int) -> npt.NDArray[np.bool_]:
    if characters == 0:
        return np.zeros(len(column), dtype=bool)
    lengths = pc.binary_length(column) if characters == 1 else pc.utf8_length(column)
    return _numbers(lengths) < characters


def _lengths(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return _numbers(pc.utf8_length(column))


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = np.asarray(pc.fill_null(column, 0), dtype=np.int64)
    return numbers


def cap_rows(
    table: pa.Table, groups: npt.NDArray[np.int32], cap: int | None, policy: CapPolicy, sample_keys: UInt64
) -> npt.NDArray[np.int64]:
    """Return the rows that a cap keeps of each group, ascending.

    Args:
        table: Prompted examples; with a column ``score`` for policy ``score``.
        groups: Group of each row ``[n]``: one (dataset, subset, split, template).
        cap: Most rows kept of a group; None keeps all.
        policy: ``random`` (seeded), ``shortest`` and ``longest`` (characters of inputs, then random),
            ``alphabetical`` (by code point of inputs; what xP3's builder really did under the name shortest), or
            ``score`` (highest score, then random; null and NaN come last).
        sample_keys: Seeded random order ``[n]``.

    Example::

        inputs   "bb" "a"  "ccc"    cap 2
        score    1.5  null 1.1
        shortest x    x             -> rows 0, 1
        longest  x         x        -> rows 0, 2
        score    x         x        -> rows 0, 2
    """
    counts = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    if cap is None or not np.any(counts > cap):
        return np.arange(len(groups))
    kept = [np.flatnonzero(groups == group) for group in range(len(counts))]
    return np.sort(
        np.concatenate([rows if len(rows) <= cap else _best(table, rows, cap, policy, sample_keys) for rows in kept])
    )


def _best(
    table: pa.Table, rows: npt.NDArray[np.int64], cap: int, policy: CapPolicy, sample_keys: UInt64
) -> npt.NDArray[np.int64]:
    if policy == "random":
        return rows[within_cap(sample_keys[rows], cap)]
    if policy == "score":
        scores = np.asarray(pc.fill_null(table.column("score").take(pa.array(rows)), np.nan), np.float64)
        order = np.lexsort((sample_keys[rows], -np.nan_to_num(scores, nan=-np.inf)))
        return np.asarray(rows[order[:cap]], np.int64)
    inputs = table.column("inputs").take(pa.array(rows))
    if policy == "alphabetical":
        order = np.asarray(pc.sort_indices(inputs)).astype(np.int64)  # UTF-8 sorts bytes as code points
    else:
        lengths = _lengths(inputs)
        order = np.lexsort((sample_keys[rows], lengths if policy == "shortest" else -lengths))
    return np.asarray(rows[order[:cap]], np.int64)
