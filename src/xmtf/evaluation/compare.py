"""Two evaluations of the same items, compared item by item: is one model better, or was it luck?

A difference of paired answers is much surer than the difference of two intervals. Items are paired by
task, split, template and row, whatever the suites are called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.evaluation.results import read_items

__all__ = ["Difference", "compare_lines", "compare_results", "paired_difference"]

_RESAMPLES = 1000
_SEED = 12345

Key = tuple[str, str, int]
"""Split, template, row."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more of a task the second model gets right.

    Attributes:
        task: Task id, or ``all``.
        items: Pairs of answers.
        first: Share that the first model gets right.
        second: Share that the second model gets right.
        change: Second - first.
        low: Lower end of its 95 % interval; rows are resampled, each with all of its templates.
        high: Upper end.
        gained: Items that only the second gets right.
        lost: Items that only the first gets right.
        p_value: Exact McNemar test, two-sided: chance of such a split of the changed items by luck.
    """

    task: str
    items: int
    first: float
    second: float
    change: float
    low: float
    high: float
    gained: int
    lost: int
    p_value: float


def compare_results(first: Path, second: Path) -> list[Difference]:
    """Compare two results folders; one entry a task that both judged, then one for all together.

    Raises:
        SourceError: No items there, or none in common.
        DataError: An items file is broken.
    """
    ours, theirs = _judged(first), _judged(second)
    pairs: dict[str, dict[Key, tuple[bool, bool]]] = {
        task: {key: (ours[task][key], theirs[task][key]) for key in ours[task] if key in theirs[task]}
        for task in ours
        if task in theirs
    }
    pairs = {task: found for task, found in pairs.items() if found}
    if not pairs:
        raise SourceError(f"{first} and {second} have no judged item in common; evaluate the same tasks and rows")
    differences = [
        paired_difference(task, list(found.values()), [(task, split, row) for split, _, row in found])
        for task, found in pairs.items()
    ]
    everything = [(pair, (task, key[0], key[2])) for task, found in pairs.items() for key, pair in found.items()]
    differences.append(paired_difference("all", [pair for pair, _ in everything], [row for _, row in everything]))
    return differences


def paired_difference(
    task: str, pairs: Sequence[tuple[bool, bool]], rows: Sequence[tuple[str, str, int]]
) -> Difference:
    """Compare paired answers.

    Args:
        task: What the answers are to.
        pairs: (first is right, second is right) of each item.
        rows: The row that each item is made from; items of a row are resampled together.
    """
    import numpy as np
    from scipy.stats import binomtest

    right = np.array(pairs, dtype=np.float64)
    change = right[:, 1] - right[:, 0]
    gained, lost = int((change > 0).sum()), int((change < 0).sum())
    place = {row: index for index, row in enumerate(dict.fromkeys(rows))}
    cluster = np.array([place[row] for row in rows])
    sums, sizes = np.bincount(cluster, weights=change), np.bincount(cluster).astype(np.float64)
    random = np.random.default_rng(_SEED)
    means = []
    for _ in range(_RESAMPLES):
        drawn = random.integers(0, len(sums), len(sums))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.percentile(means, [2.5, 97.5])
    return Difference(
        task=task,
        items=len(pairs),
        first=float(right[:, 0].mean()),
        second=float(right[:, 1].mean()),
        change=float(change.mean()),
        low=float(low),
        high=float(high),
        gained=gained,
        lost=lost,
        p_value=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
    )


def _judged(folder: Path) -> Mapping[str, dict[Key, bool]]:
    """Return task -> (split, template, row) -> whether it was right, of the items that were judged."""
    found: dict[str, dict[Key, bool]] = defaultdict(dict)
    for task, key, correct in _items(folder):
        found[task][key] = correct
    return found


def _items(folder: Path) -> Iterator[tuple[str, Key, bool]]:
    paths = sorted((folder / "items").glob("*.parquet"))
    if not paths:
        raise SourceError(f"{folder}: no items/*.parquet there; give a results folder of `xmtf evaluate` or of a run")
    for path in paths:
        table, _ = read_items(path)
        for item in table.select(["task", "split", "template", "row", "correct"]).to_pylist():
            if item["correct"] is not None:
                yield item["task"], (item["split"], item["template"], item["row"]), item["correct"]


def compare_lines(differences: Sequence[Difference]) -> list[str]:
    """Return differences as lines of aligned columns, in percent."""
    width = max(len(difference.task) for difference in differences)
    lines = [f"{'task':{width}}   items  first  second  change  interval          gained  lost  p"]
    for one in differences:
        interval = f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
        changed = f"{one.gained:6,}  {one.lost:4,}  {one.p_value:.2g}"
        shares = f"{100 * one.first:5.1f}  {100 * one.second:6.1f}  {100 * one.change:+6.1f}"
        lines.append(f"{one.task:{width}}  {one.items:6,}  {shares}  {interval:16}  {changed}")
    return lines
