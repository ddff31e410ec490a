"""The order of a mixture, decided on keys alone: duplicates, samples, and where each part begins.

One language at a time; 24 bytes an example while it is being decided.

::

    runs of one language, sorted by key        merged    duplicate   part (2 rows each)
    anli  [k1, k4]                              k1                    0
    xnli  [k2, k4, k7]                          k2                    0
                                                k4  anli              1
                                                k4  xnli   dropped
                                                k7                    1
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmtf.mixture.keys import Keys, UInt64, concat_keys
from xmtf.mixture.runs import read_keys

__all__ = ["LanguageOrder", "PartRange", "language_order", "part_ranges", "sample_limit", "within_limits"]


@dataclass(frozen=True, slots=True)
class PartRange:
    """One part of a language: its examples have ``start <= key.high < stop``.

    Attributes:
        start: First key.
        stop: First key of the next part, or None for the last part.
        rows: Examples in the part.
    """

    start: int
    stop: int | None
    rows: int


@dataclass(frozen=True, slots=True)
class LanguageOrder:
    """What was found in the runs of a language, once duplicates are out.

    Attributes:
        keys: Keys of the examples that stay, sorted.
        run_of_row: int32 ``[n]``: the run that each comes from.
        duplicates: Examples of each run that stood before.
    """

    keys: Keys
    run_of_row: npt.NDArray[np.int32]
    duplicates: list[int] = field(default_factory=list)

    def sizes(self) -> list[int]:
        """Return the number of examples that each run keeps."""
        return [int(size) for size in np.bincount(self.run_of_row, minlength=len(self.duplicates))]

    def sample_keys_of(self, runs: list[int]) -> UInt64:
        """Return the sample keys of the examples of some runs."""
        return self.keys.sample_keys()[np.isin(self.run_of_row, runs)]

    def sampled(self, limits: list[int | None]) -> LanguageOrder:
        """Return only the examples whose sample key is below the limit of their run (None: no limit)."""
        kept = np.flatnonzero(within_limits(self.keys, self.run_of_row, limits))
        return LanguageOrder(self.keys.take(kept), self.run_of_row[kept], self.duplicates)


def within_limits(keys: Keys, run_of_row: npt.NDArray[np.int32], limits: list[int | None]) -> npt.NDArray[np.bool_]:
    """Tell of each example whether its sample key is below the limit of its run (None: no limit)."""
    is_free = np.array([limit is None for limit in limits])
    if is_free.all():
        return np.ones(len(keys), dtype=bool)
    below = np.array([limit or 0 for limit in limits], np.uint64)
    mask: npt.NDArray[np.bool_] = is_free[run_of_row] | (keys.sample_keys() < below[run_of_row])
    return mask


def language_order(runs: list[Path]) -> LanguageOrder:
    """Merge the keys of all runs of a language; of equal keys the first run's first row stays."""
    keys = [read_keys(run) for run in runs]
    run_of_row = np.repeat(np.arange(len(runs), dtype=np.int32), [len(part) for part in keys])
    merged = concat_keys(keys)
    order = merged.order()
    first = merged.is_first(order)
    dropped = np.bincount(run_of_row[order[~first]], minlength=len(runs))
    kept = order[first]
    return LanguageOrder(merged.take(kept), run_of_row[kept], dropped.tolist())


def sample_limit(sample_keys: UInt64, quota: int) -> int | None:
    """Return the sample key that exactly ``quota`` of the given ones are below; None where all may stay."""
    return None if quota >= len(sample_keys) else int(np.partition(sample_keys, quota)[quota])


def part_ranges(keys: Keys, shard_rows: int) -> list[PartRange]:
    """Cut sorted keys into parts of ``shard_rows`` examples; the last may hold fewer."""
    starts = list(range(0, len(keys), shard_rows))
    stops = [*starts[1:], len(keys)]
    return [
        PartRange(
            0 if start == 0 else int(keys.high[start]),
            None if stop == len(keys) else int(keys.high[stop]),
            stop - start,
        )
        for start, stop in zip(starts, stops, strict=True)
    ]
