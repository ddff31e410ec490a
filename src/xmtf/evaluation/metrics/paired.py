"""Two models on the same items: how sure is the difference? Rows are the units, not prompts of a row.

Each model's answers become counts that add up: rights and items for accuracies, n-gram counts for BLEU and
chrF. The value of a set of rows is computed from the sum of their counts, so it can be computed for any
resample of rows, for both models on the same one::

    row  template  first  second          row  change of its rights
    0    a         wrong  right           0    +2
    0    b         wrong  right           1    -1
    1    a         right  wrong
    1    b         wrong  wrong

Shapes: R rows, T templates, K counts of an item.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from xmtf.evaluation.metrics.registry import graded_counts

__all__ = ["Judged", "PairedTest", "judged_shares", "judged_texts", "paired_test", "row_seed"]

RESAMPLES = 1000
_FLIPS = 10_000

Key = tuple[str, str, int]
"""Split, template, row."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One model's answers to a task, as counts.

    Attributes:
        counts_RTK: float64; zeros where a row was not asked with a template.
        value: From the summed counts ``[K]`` of one template to its value.
    """

    counts_RTK: np.ndarray  # noqa: N815 - shape suffix
    value: Callable[[np.ndarray], float]

    def mean(self, weights_R: np.ndarray) -> float:
        """Return the mean over templates of the value of rows, each taken as often as its weight says."""
        totals_TK = np.tensordot(weights_R, self.counts_RTK, axes=1)
        return float(np.mean([self.value(total_K) for total_K in totals_TK]))


@dataclass(frozen=True, slots=True)
class PairedTest:
    """How two models differ on the same rows.

    Attributes:
        first: Value of the first model.
        second: Value of the second.
        changes: Second - first in each resample of rows, [RESAMPLES].
        p_value: Two-sided: the chance of so large a difference between models that are equally good.
    """

    first: float
    second: float
    changes: np.ndarray
    p_value: float


def judged_shares(keys: Sequence[Key], right: Sequence[bool]) -> Judged:
    """Return yes-or-no answers as counts (rights, items), the templates of a row taken together."""
    rows = {row: place for place, row in enumerate(dict.fromkeys((split, row) for split, _, row in keys))}
    counts_RTK = np.zeros((len(rows), 1, 2))
    for (split, _, row), correct in zip(keys, right, strict=True):
        counts_RTK[rows[split, row], 0] += (float(correct), 1.0)
    return Judged(counts_RTK, _share)


def judged_texts(name: str, texts: Mapping[Key, tuple[str, Sequence[str]]], language: str) -> Judged:
    """Return texts as counts of a metric of ``GRADED_METRICS``; every template has a value of its own.

    Args:
        name: The metric.
        texts: Key -> (text, references).
        language: Code of the language of the answers.
    """
    answers, references = [text for text, _ in texts.values()], [row for _, row in texts.values()]
    counts, value = graded_counts(name, answers, references, language)
    rows = {row: place for place, row in enumerate(dict.fromkeys((split, row) for split, _, row in texts))}
    templates = {name: place for place, name in enumerate(dict.fromkeys(template for _, template, _ in texts))}
    counts_RTK = np.zeros((len(rows), len(templates), counts.shape[1]))
    for (split, template, row), item in zip(texts, counts, strict=True):
        counts_RTK[rows[split, row], templates[template]] += item
    return Judged(counts_RTK, value)


def _share(total_K: np.ndarray) -> float:
    return float(total_K[0] / total_K[1]) if total_K[1] else 0.0


def row_seed(keys: Sequence[Key]) -> int:
    """Return a seed that depends on the rows alone: parallel tasks with the same rows are resampled alike."""
    return zlib.crc32(repr(sorted({(split, row) for split, _, row in keys})).encode())


def paired_test(first: Judged, second: Judged, seed: int) -> PairedTest:
    """Compare two models on the same rows.

    The p-value of shares comes from exchanging the two models' answers to whole rows: exactly (McNemar's
    test) where each row is asked once, else by 10,000 random exchanges. That of BLEU and the like comes
    from the share of resamples in which the other model is ahead (Koehn 2004, two-sided).

    Args:
        first: The first model's answers.
        second: The second's; the same rows and templates in the same places.
        seed: Of the resamples.
    """
    random = np.random.default_rng(seed)
    num_rows = len(first.counts_RTK)
    once = np.ones(num_rows)
    if first.value is _share:
        changes = _share_changes(first, second, random)
        p_value = _exchanged(first, second, random)
    else:
        draws = chain.from_iterable(_weights(num_rows, random))
        changes = np.array([second.mean(weights_R) - first.mean(weights_R) for weights_R in draws])
        behind = min(int((changes <= 0).sum()), int((changes >= 0).sum()))
        p_value = min(1.0, 2 * (behind + 1) / (RESAMPLES + 1))
    return PairedTest(first.mean(once), second.mean(once), changes, p_value)


def _weights(num_rows: int, random: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield how often each row is drawn in each of the resamples, ``[some of them, R]`` at a time."""
    at_once = max(1, 4_000_000 // num_rows)
    for start in range(0, RESAMPLES, at_once):
        number = min(at_once, RESAMPLES - start)
        drawn = random.integers(0, num_rows, (number, num_rows))
        yield np.stack([np.bincount(row, minlength=num_rows) for row in drawn]).astype(np.float64)


def _share_changes(first: Judged, second: Judged, random: np.random.Generator) -> np.ndarray:
    """Return the change of the share that is right in each resample."""
    changes = []
    for weights_NR in _weights(len(first.counts_RTK), random):
        right_1, items = (weights_NR @ first.counts_RTK[:, 0]).T
        right_2, _ = (weights_NR @ second.counts_RTK[:, 0]).T
        changes.append((right_2 - right_1) / items)
    return np.concatenate(changes)


def _exchanged(first: Judged, second: Judged, random: np.random.Generator) -> float:
    """Return the chance that exchanging the models' answers to random rows gives so large a change."""
    from scipy.stats import binomtest

    change_R = (second.counts_RTK[..., 0] - first.counts_RTK[..., 0]).sum(axis=1)
    change_R = change_R[change_R != 0]
    if not len(change_R):
        return 1.0
    if np.all(np.abs(change_R) == 1.0):
        return float(binomtest(int((change_R > 0).sum()), len(change_R)).pvalue)
    observed, reached = abs(change_R.sum()) - 1e-9, 0
    at_once = max(1, min(_FLIPS, 4_000_000 // len(change_R)))
    for start in range(0, _FLIPS, at_once):
        signs = random.integers(0, 2, (min(at_once, _FLIPS - start), len(change_R)), dtype=np.int8)
        reached += int((np.abs((2.0 * signs - 1.0) @ change_R) >= observed).sum())
    return (reached + 1) / (_FLIPS + 1)
