"""The order of a mixture, decided on keys alone: duplicates, samples, and where each part begins.

The keys of a language are cut into ranges, each small enough for any machine, and each range is decided
on by itself: equal keys always fall into the same range. What has to be known of all ranges together,
which sample keys stay and which example begins a part, is read off their sorted files.

::

    runs of one language, sorted by key        range    merged    duplicate   part (2 rows each)
    anli  [k1, k4]                             1        k1                    0
    xnli  [k2, k4, k7]                                  k2                    0
                                               2        k4  anli              1
                                                        k4  xnli   dropped
                                                        k7                    1
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xmtf.files import read_json
from xmtf.mixture.select.keys import Keys, UInt64, concat_keys
from xmtf.mixture.sort.runs import read_keys

__all__ = ["SampleKeys", "cut_range", "key_ranges", "order_range", "part_starts", "sample_limit", "within_limits"]

_KEYS = 2**64


def key_ranges(rows: int, range_rows: int) -> list[tuple[int, int | None]]:
    """Cut the space of keys into equal ranges ``start <= key.high < stop`` of about ``range_rows`` examples.

    >>> key_ranges(5, 4)
    [(0, 9223372036854775808), (9223372036854775808, None)]
    """
    number = max(1, -(-rows // range_rows))
    starts = [index * _KEYS // number for index in range(number)]
    return list(zip(starts, [*starts[1:], None], strict=True))


def order_range(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Merge the keys of one range of a language; of equal keys the first run's first row stays: a shard function.

    Args:
        spec: ``runs`` (file with the runs of the language, relative to the work folder, and ``runs_hash`` of its
            content), ``start``, ``stop``, and whether ``sampled``.
        folder: Folder of the range, two levels below the work folder. Receives the keys that stay, sorted, with the
            run of each (``high.npy``, ``low.npy``, ``run.npy``), and where the mixture is sampled the sample keys,
            sorted for each run and one run after the other (``sample.npy``).

    Returns:
        ``sizes`` (examples that stay) and ``duplicates`` (examples that stood before), of each run.
    """
    work = folder.parent.parent
    paths = [work / run["path"] for run in read_json(work / spec["runs"])["runs"]]
    parts = [read_keys(path, spec["start"], spec["stop"]) for path in paths]
    run_of_row = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    merged = concat_keys(parts)
    # Equal keys stand side by side after sorting, and runs come in plan order: of equal examples the one of the
    # first task stays, whatever the number of workers.
    order = merged.order()
    first = merged.is_first(order)
    kept = order[first]
    keys, run_of_key = merged.take(kept), run_of_row[kept]
    columns: dict[str, npt.NDArray[np.generic]] = {"high": keys.high, "low": keys.low, "run": run_of_key}
    if spec["sampled"]:
        # Sorted within each run, so that limits can be searched in a mapped file without reading it.
        sample_keys = keys.sample_keys()
        columns["sample"] = sample_keys[np.lexsort((sample_keys, run_of_key))]
    for name, column in columns.items():
        np.save(folder / f"{name}.npy", column, allow_pickle=False)
    return {
        "sizes": np.bincount(run_of_key, minlength=len(parts)).tolist(),
        "duplicates": np.bincount(run_of_row[order[~first]], minlength=len(parts)).tolist(),
    }


def cut_range(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Find the keys of some examples of a range, once those that are not sampled are out: a shard function.

    Args:
        spec: ``range`` (folder of the range, relative to the work folder, and ``range_hash`` of its task), ``order``
            (as of :func:`xmtf.mixture.sort.parts.write_part`), ``positions`` of the examples.
        folder: Folder of this task, two levels below the work folder.

    Returns:
        ``keys``: the upper word of the key at each position.
    """
    work = folder.parent.parent
    limits = [run["limit"] for run in read_json(work / spec["order"])["runs"]]
    columns = (np.load(work / spec["range"] / f"{name}.npy", allow_pickle=False) for name in ("high", "low", "run"))
    high, low, run_of_key = columns
    # Parts are cut by keys rather than by positions, so that each can be written without knowing the others.
    kept = high[within_limits(Keys(high, low), run_of_key, limits)]
    return {"keys": kept[spec["positions"]].tolist()}


class SampleKeys:
    """The sample keys of each run in some ranges, as :func:`order_range` left them: mapped, not read.

    Args:
        ranges: Folders of the ranges.
        sizes: Examples of each run in each range.
    """

    def __init__(self, ranges: Sequence[Path], sizes: Sequence[Sequence[int]]) -> None:
        self._by_range = [
            np.split(np.load(folder / "sample.npy", mmap_mode="r", allow_pickle=False), np.cumsum(of_runs)[:-1])
            for folder, of_runs in zip(ranges, sizes, strict=True)
        ]

    def of_runs(self, runs: Sequence[int]) -> list[UInt64]:
        """Return the sorted sample keys of some runs, one array for each run in each range."""
        return [arrays[run] for arrays in self._by_range for run in runs]

    def sizes(self, limits: Sequence[int | None]) -> list[list[int]]:
        """Return how many examples of each run stay in each range below the limit of the run."""
        return [
            [
                len(keys) if limit is None else _num_below(keys, limit)
                for keys, limit in zip(arrays, limits, strict=True)
            ]
            for arrays in self._by_range
        ]


def sample_limit(sample_keys: Sequence[UInt64], quota: int) -> int | None:
    """Return the sample key that exactly ``quota`` of the given ones are below; None where all may stay.

    Args:
        sample_keys: Sorted arrays. Only the few keys that a search by halves looks at are read.
        quota: How many to keep.
    """
    if quota >= sum(map(len, sample_keys)):
        return None
    low, high = 0, _KEYS - 1  # the answer is the largest value that at most `quota` keys are below
    while low < high:
        middle = (low + high + 1) // 2
        if sum(_num_below(keys, middle) for keys in sample_keys) <= quota:
            low = middle
        else:
            high = middle - 1
    return low


def _num_below(keys: UInt64, limit: int) -> int:
    return int(np.searchsorted(keys, np.uint64(limit)))


def within_limits(keys: Keys, run_of_row: npt.NDArray[np.int32], limits: list[int | None]) -> npt.NDArray[np.bool_]:
    """Return for each example whether its sample key is below the limit of its run (None: no limit)."""
    is_free = np.array([limit is None for limit in limits])
    if is_free.all():
        return np.ones(len(keys), dtype=bool)
    below = np.array([limit or 0 for limit in limits], np.uint64)
    mask: npt.NDArray[np.bool_] = is_free[run_of_row] | (keys.sample_keys() < below[run_of_row])
    return mask


def part_starts(sizes: Sequence[int], part_rows: int) -> list[list[int]]:
    """Return where parts of ``part_rows`` examples begin, as positions in each of the ranges; the last may be short.

    Args:
        sizes: Examples of each range.
        part_rows: Most examples in a part.

    >>> part_starts([3, 4], 2)
    [[0, 2], [1, 3]]
    """
    starts, before = [], 0
    for size in sizes:
        first = -before % part_rows
        starts.append(list(range(first, size, part_rows)))
        before += size
    return starts
