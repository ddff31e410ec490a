"""How sure is a number? Rows are the units: resampled whole, with all of their templates and translations.

Prompts of one row are answered alike, and so are the translations of one row; taken for independent they would make
intervals too narrow. Every job's answers become counts that add up (rights and items, or the n-gram counts of BLEU),
row by row. A resample gives each row a weight; jobs that ask the same rows, in the languages of a parallel set too, get
the same weights, whatever is computed from them::

    set "xnli [validation]"      row   weight   fr: right, items   sw: right, items
                                 0     2        1  1               0  1
                                 1     0        1  1               1  1
                                 2     1        0  1               0  1
    one resample                                2 of 3             0 of 3

Legend: N resamples, R rows of a set, K counts of an item.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "JobCounts", "Resamples", "row_set", "total_counts"]

RESAMPLES = 1000
_KEPT_BYTES = 2**28
"""How much of what was drawn is kept: groups of a report ask for the same rows again and again."""
Floats = npt.NDArray[np.float64]


def row_set(parallel: str, task: str, split: str) -> str:
    """Return the name of the set whose rows a job asks: that of all languages of a parallel set, else its own."""
    return f"{parallel or task} [{split}]"


@dataclass(frozen=True, slots=True)
class JobCounts:
    """What one job's answers come to, row by row.

    Attributes:
        rows_of: Name of the set that its rows belong to, see :func:`row_set`.
        rows: Number of the row of each item, ``[items]``.
        counts: Counts of each item, ``[items, K]``; sums of them make the value.
    """

    rows_of: str
    rows: npt.NDArray[np.int64]
    counts: Floats


class Resamples:
    """The same resamples for all jobs of a comparison.

    Args:
        jobs: All of them: the rows of a set are those that any of its jobs asks.
    """

    def __init__(self, jobs: Iterable[JobCounts]) -> None:
        found: dict[str, list[npt.NDArray[np.int64]]] = defaultdict(list)
        for job in jobs:
            found[job.rows_of].append(job.rows)
        self._rows = {name: _union(rows) for name, rows in sorted(found.items())}

    @property
    def num_rows(self) -> int:
        """Rows of all sets together: the number of independent units."""
        return sum(map(len, self._rows.values()))

    def are_of(self, jobs: Sequence[JobCounts]) -> bool:
        """Return whether these are the resamples of some jobs, which ask all of the rows."""
        other = Resamples(jobs)._rows
        return other.keys() == self._rows.keys() and all(
            np.array_equal(self._rows[name], other[name]) for name in other
        )

    def totals(self, jobs: Sequence[JobCounts]) -> Floats:
        """Return the summed counts of jobs in every resample, ``[N, K]``."""
        by_set: dict[str, list[JobCounts]] = defaultdict(list)
        for job in jobs:
            by_set[job.rows_of].append(job)
        totals: Floats = np.sum([self._set_totals(name, members) for name, members in by_set.items()], axis=0)
        return totals

    def totals_of_groups(self, groups: Sequence[Sequence[JobCounts]]) -> Floats:
        """Return the summed counts of each of several groups of jobs in every resample, ``[groups, N, K]``.

        What was drawn is read once for all of them, which is what takes the time.
        """
        width = groups[0][0].counts.shape[1]
        totals = np.zeros((RESAMPLES, len(groups) * width))
        for name, rows in self._rows.items():
            columns = [self._by_row(name, [job for job in jobs if job.rows_of == name], width) for jobs in groups]
            totals += _weights(zlib.crc32(name.encode()), rows.tobytes()) @ np.concatenate(columns, axis=1)
        return totals.reshape(RESAMPLES, len(groups), width).transpose(1, 0, 2)

    def by_row(self, jobs: Sequence[JobCounts]) -> Floats:
        """Return the counts of jobs summed by row, rows of all sets after each other, ``[all R, K]``."""
        return np.concatenate([self._by_row(name, [j for j in jobs if j.rows_of == name]) for name in self._rows])

    def _set_totals(self, name: str, jobs: Sequence[JobCounts]) -> Floats:
        rows = self._rows[name]
        weights_NR = _weights(zlib.crc32(name.encode()), rows.tobytes())
        return np.asarray(weights_NR @ self._by_row(name, jobs))

    def _by_row(self, name: str, jobs: Sequence[JobCounts], width: int = 1) -> Floats:
        rows = self._rows[name]
        counts_RK = np.zeros((len(rows), jobs[0].counts.shape[1] if jobs else width))
        for job in jobs:
            if np.array_equal(job.rows, rows):  # as a rule: every template asks every row, in order
                counts_RK += job.counts
            else:
                np.add.at(counts_RK, np.searchsorted(rows, job.rows), job.counts)
        return counts_RK


def _union(rows: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """Return the rows that any of several jobs asks, sorted."""
    others = [each for each in rows[1:] if not np.array_equal(each, rows[0])]
    return np.unique(np.concatenate([rows[0], *others]))


def _weights(seed: int, rows: bytes) -> Floats:
    """Return how often each row is drawn in each resample, ``[N, R]``; the same for the same set and rows."""
    key = (seed, rows)
    if key in _drawn:
        _drawn.move_to_end(key)
        return _drawn[key]
    num_rows = len(rows) // 8
    random = np.random.default_rng([seed, zlib.crc32(rows)])
    drawn = random.integers(0, num_rows, (RESAMPLES, num_rows)) + num_rows * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * num_rows)
    _drawn[key] = counts.reshape(RESAMPLES, num_rows).astype(np.float64)
    while len(_drawn) > 1 and sum(each.nbytes for each in _drawn.values()) > _KEPT_BYTES:
        _drawn.popitem(last=False)
    return _drawn[key]


_drawn: OrderedDict[tuple[int, bytes], Floats] = OrderedDict()
"""What was drawn last, the latest at the end."""


def total_counts(jobs: Sequence[JobCounts]) -> Floats:
    """Return the summed counts of jobs as they are, ``[K]``."""
    return np.asarray(np.sum([job.counts.sum(axis=0) for job in jobs], axis=0))
