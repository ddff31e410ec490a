"""Which rows are near duplicates of earlier ones, and which translations of a row stay: decided over all slices.

Signatures are cut into bands; rows that agree in all numbers of a band are looked at::

    128 numbers = 21 bands of 6        similarity 0.8: 99.8 % of such pairs agree in some band; then the whole
                                       signatures are compared, and pairs under the similarity are let go

Rows that are near one another, directly or through others, are one group, and its first row in the order of the plan
stays. Rows of one number in a parallel set are one group from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmtf.files import atomic_path
from xmtf.mixture.select.keys import UInt64, mix
from xmtf.mixture.select.near_rows import NUM_HASHES
from xmtf.tasks.prompting.fitness import First
from xmtf.tasks.prompting.rows import SliceRows

__all__ = [
    "NEAR_DUPLICATE",
    "OTHER_TRANSLATION",
    "LeftOut",
    "NearRows",
    "bands",
    "group_rows_near",
    "read_left_out",
    "without_left_out",
]

NEAR_DUPLICATE = "near duplicate"
"""Reason of examples whose row is nearly one that stood before."""
OTHER_TRANSLATION = "translation of a row that is kept"
"""Reason of examples whose row is kept in another language."""

_RECALL = 0.99
_COMPARED = 2**14
"""Pairs whose signatures are compared at once."""

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NearRows:
    """The rows that one slice reads.

    Attributes:
        name: What the slice is called in reports, ``<task> [<split>]``.
        folder: Where :func:`xmtf.mixture.select.near_rows.write_near_rows` wrote.
        pieces: Rows of each piece.
        is_parallel: Whether equal rows of other slices are their translations.
    """

    name: str
    folder: Path
    pieces: tuple[int, ...]
    is_parallel: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows of one slice that are left out.

    Attributes:
        near: Numbers of near duplicates, ascending, int64 ``[n]``.
        kept: Number of the row that each is near, int64 ``[n]``.
        kept_in: Name of its slice, ``[n]``.
        translated: Numbers of rows that stay in another language, ascending.
    """

    near: Int64
    kept: Int64
    kept_in: npt.NDArray[np.str_]
    translated: Int64

    def told(self, row: int) -> str:
        """Describe what a row is near to."""
        at = int(np.searchsorted(self.near, row))
        if at == len(self.near) or self.near[at] != row:
            return ""
        return f"it nearly duplicates row {self.kept[at]} of {self.kept_in[at]}"


def bands(similarity: float) -> tuple[int, int]:
    """Return how many bands of how many numbers find 99 % of the pairs of a similarity, with the fewest others.

    >>> bands(0.8), bands(0.5)
    ((21, 6), (42, 3))
    """
    fitting = [
        width for width in range(1, NUM_HASHES + 1) if 1 - (1 - similarity**width) ** (NUM_HASHES // width) >= _RECALL
    ]
    width = max(fitting, default=1)
    return NUM_HASHES // width, width


def group_rows_near(
    slices: Sequence[NearRows], folder: Path, similarity: float | None, *, one_language: bool, seed: int
) -> None:
    """Write for each slice which of its rows are left out: ``<name of its folder>.npz``.

    Args:
        slices: In the order of the plan: of a group the first row stays.
        folder: Where to.
        similarity: Least share of common runs of near duplicates; None searches for none.
        one_language: Keep each row of a parallel set in one language alone.
        seed: Seeds which.
    """
    places = [(part, number) for part in slices for number in range(len(part.pieces))]
    columns = [dict(np.load(part.folder / f"rows-{number}.npz")) for part, number in places]
    empty = {"rows": np.empty(0, np.int64), "nodes": np.empty(0, np.uint64), "languages": np.empty(0, np.uint64)}
    rows, nodes, languages = (
        np.concatenate([empty[name], *(each[name] for each in columns)]) for name in ("rows", "nodes", "languages")
    )
    slice_of_row = np.repeat(np.arange(len(slices)), [sum(part.pieces) for part in slices])
    _, first, node = np.unique(nodes, return_index=True, return_inverse=True)
    group = np.arange(len(first))
    if similarity is not None:
        signed = _Signed([part.folder / f"signatures-{number}.npy" for part, number in places])
        group = _joined(signed, languages, node, first, similarity)
    keeper = _first_of_each(group, first)[group]  # for each node, the node that stays of its group
    near = keeper[node] != node
    translated = np.zeros(len(rows), bool)
    if one_language:
        is_parallel = np.array([part.is_parallel for part in slices], bool)[slice_of_row]
        translated = ~near & is_parallel & _in_other_languages(nodes, languages, node, seed)
    kept_row = first[keeper[node]]
    for number, part in enumerate(slices):
        own = np.flatnonzero(slice_of_row == number)
        hit, other = own[near[own]], own[translated[own]]
        hit, other = hit[np.argsort(rows[hit], kind="stable")], np.sort(rows[other])
        names = np.array([slices[at].name for at in slice_of_row[kept_row[hit]]], np.str_)
        with atomic_path(folder / f"{part.folder.name}.npz") as path, path.open("wb") as stream:
            np.savez(stream, near=rows[hit], kept=rows[kept_row[hit]], kept_in=names, translated=other)


def read_left_out(path: Path) -> LeftOut:
    """Return what is left out of a slice."""
    with np.load(path, allow_pickle=False) as found:
        return LeftOut(found["near"], found["kept"], found["kept_in"], found["translated"])


def without_left_out(data: SliceRows, left_out: LeftOut) -> SliceRows:
    """Return the rows of a slice, or of a piece of it, without those that are left out, which are counted."""
    rows = data.data.rows
    near, translated = np.isin(rows, left_out.near), np.isin(rows, left_out.translated)
    dropped, firsts = dict(data.dropped), dict(data.firsts)
    for reason, mask in ((NEAR_DUPLICATE, near), (OTHER_TRANSLATION, translated)):
        if mask.any():
            row = int(rows[mask][0])
            dropped[reason] = int(mask.sum())
            firsts[reason] = First(row, left_out.told(row))
    kept = data.taken(np.flatnonzero(~near & ~translated))
    return replace(kept, dropped=dropped, firsts=firsts)


def _first_of_each(group: Int64, first: Int64) -> Int64:
    """Return for each group the node whose first row comes first; groups are numbered by nodes."""
    keeper = np.zeros(len(group), np.int64)
    order = np.argsort(first, kind="stable")[::-1]
    keeper[group[order]] = order
    return keeper


def _in_other_languages(nodes: UInt64, languages: UInt64, node: Int64, seed: int) -> npt.NDArray[np.bool_]:
    """Return which rows of parallel sets are not in the language that is drawn for their row."""
    draw = mix(nodes ^ mix(languages + np.uint64(seed % 2**64)))
    order = np.lexsort((draw, node))
    is_first = np.ones(len(order), bool)
    is_first[1:] = node[order][1:] != node[order][:-1]
    chosen = np.zeros(len(order), np.uint64)
    chosen[node[order][is_first]] = languages[order][is_first]
    return np.asarray(languages != chosen[node], bool)


class _Signed:
    """The signatures of all rows, in files that are mapped."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in self._parts])])

    def band(self, start: int, width: int) -> UInt64:
        """Return a hash of some numbers of every row, uint64 ``[rows]``; 0 of rows without a text."""
        found = [np.empty(0, np.uint64)]
        for part in self._parts:
            hashes = np.zeros(len(part), np.uint64)
            for place in range(start, start + width):
                hashes = mix(hashes + part[:, place].astype(np.uint64))
            found.append(np.where(part[:, :2].any(axis=1), hashes, np.uint64(0)))
        return np.concatenate(found)

    def similarity(self, ones: Int64, others: Int64) -> npt.NDArray[np.float64]:
        """Return the share of equal numbers of pairs of rows."""
        found = np.empty(len(ones))
        for at in range(0, len(ones), _COMPARED):
            to = at + _COMPARED
            found[at:to] = (self._of(ones[at:to]) == self._of(others[at:to])).mean(axis=1)
        return found

    def _of(self, rows: Int64) -> npt.NDArray[np.uint32]:
        found = np.empty((len(rows), NUM_HASHES), np.uint32)
        part_of_row = np.searchsorted(self._starts, rows, side="right") - 1
        for part in np.unique(part_of_row).tolist():
            at = np.flatnonzero(part_of_row == part)
            found[at] = self._parts[part][rows[at] - self._starts[part]]
        return found


def _joined(signed: _Signed, languages: UInt64, node: Int64, first: Int64, similarity: float) -> Int64:
    """Return the group of each node: nodes with near rows in one language are of one group."""
    root = np.arange(len(first))
    count, width = bands(similarity)
    for number in range(count):
        keys = signed.band(number * width, width)
        is_text = keys != 0
        keys = mix(keys ^ languages)
        order = np.flatnonzero(is_text)
        order = order[np.argsort(keys[order], kind="stable")]
        same = keys[order][1:] == keys[order][:-1]
        if not same.any():
            continue
        begins = np.concatenate([np.ones(1, bool), ~same])
        head = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
        later = np.flatnonzero(~begins)
        ones = np.concatenate([order[later], order[later]])
        others = np.concatenate([head[later], order[later - 1]])
        apart = root[node[ones]] != root[node[others]]
        ones, others = ones[apart], others[apart]
        near = signed.similarity(ones, others) >= similarity
        root = _united(root, node[ones[near]], node[others[near]])
    return root


def _united(root: Int64, ones: Int64, others: Int64) -> Int64:
    """Return the root of each node with pairs of nodes joined; the smaller number is the root."""
    parent = root.tolist() if len(ones) else []

    def find(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in zip(ones.tolist(), others.tolist(), strict=True):
        low, high = sorted((find(one), find(other)))
        parent[high] = low
    if not len(ones):
        return root
    found = np.array(parent, np.int64)
    while (found != found[found]).any():
        found = found[found]
    return found
