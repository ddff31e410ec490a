"""Accuracy of rank classification, under each way of turning token scores into a choice.

One forward pass gives the sum of log-probabilities of every choice. Other ways divide that sum by the
length of the choice, or ask how much likelier the prompt makes it:

==============  ====================================================================
scoring         score of a choice
==============  ====================================================================
``bloomz``      sum over tokens
``characters``  sum / characters
``bytes``       sum / UTF-8 bytes
``tokens``      sum / tokens
``pmi``         sum - sum after an empty prompt (pointwise mutual information)
``lm_eval``     sum, tokenised and cut as lm-evaluation-harness does
==============  ====================================================================

The last two need their own sums, which are kept next to the first: ``unconditional`` and ``joint``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xmtf.errors import ConfigError
from xmtf.evaluation.metrics.classes import count_picks, macro_f1
from xmtf.intervals import wilson
from xmtf.records import CALIBRATED, Metric, Picks

__all__ = [
    "SCORINGS",
    "RankItem",
    "best_choice",
    "chosen",
    "normalized_scores",
    "rank_counts",
    "rank_metrics",
    "rank_picks",
]

SCORINGS = ("bloomz", "characters", "bytes", "tokens", "pmi", "lm_eval")
"""Ways to score a choice."""


@dataclass(frozen=True, slots=True)
class RankItem:
    """One scored item.

    Attributes:
        choices: Texts of the choices.
        scores: Sum of log-probabilities of each.
        num_tokens: Scored tokens of each; empty where another harness did not tell.
        gold: Index of the right one.
        unconditional: Sums after an empty prompt, or ``()`` where they were not computed.
        joint: Sums by the rules of lm-evaluation-harness, or ``()``.
    """

    choices: tuple[str, ...]
    scores: tuple[float, ...]
    num_tokens: tuple[int, ...]
    gold: int
    unconditional: tuple[float, ...] = ()
    joint: tuple[float, ...] = ()


def normalized_scores(
    scoring: str,
    choices: Sequence[str],
    scores: Sequence[float],
    num_tokens: Sequence[int],
    unconditional: Sequence[float] = (),
    joint: Sequence[float] = (),
) -> tuple[float, ...]:
    """Turn sums of log-probabilities into what ``scoring`` compares; arguments as in :class:`RankItem`.

    >>> normalized_scores("tokens", ("yes", "by no means"), (-3.0, -4.0), (1, 2))
    (-3.0, -2.0)
    >>> normalized_scores("pmi", ("yes", "by no means"), (-3.0, -4.0), (1, 2), (-2.0, -9.0))
    (-1.0, 5.0)

    Raises:
        ConfigError: The sums or numbers of tokens that ``scoring`` needs are not known.
    """
    lengths: Sequence[int]
    if scoring == "bloomz":
        return tuple(scores)
    if scoring in ("pmi", "lm_eval"):
        needed = unconditional if scoring == "pmi" else joint
        if len(needed) != len(scores):
            raise ConfigError(f"scores for {scoring!r} were not computed: evaluate with evaluation.also: [{scoring}]")
        if scoring == "lm_eval":
            return tuple(joint)
        return tuple(score - alone for score, alone in zip(scores, unconditional, strict=True))
    if scoring == "characters":
        lengths = [len(choice) for choice in choices]
    elif scoring == "bytes":
        lengths = [len(choice.encode()) for choice in choices]
    elif scoring == "tokens":
        lengths = num_tokens
        if len(lengths) != len(scores):
            raise ConfigError("the items do not record how many tokens their choices have (results of another harness)")
    else:
        raise ValueError(f"unknown scoring {scoring!r}")
    return tuple(score / max(1, length) for score, length in zip(scores, lengths, strict=True))


def best_choice(scores: Sequence[float]) -> int:
    """Return the index of the highest score, the first on ties; every score must be finite."""
    if not scores or not all(math.isfinite(score) for score in scores):
        raise ValueError("a choice needs at least one score, and finite scores")
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def chosen(item: RankItem, scoring: str) -> tuple[int, tuple[float, ...]]:
    """Return the best choice of an item under ``scoring``, and what was compared."""
    scores = normalized_scores(scoring, item.choices, item.scores, item.num_tokens, item.unconditional, item.joint)
    return best_choice(scores), scores


def rank_metrics(items: Sequence[RankItem], scoring: str) -> tuple[Metric, ...]:
    """Return accuracy under ``scoring``, and where all items have the same choices also what accuracy hides.

    ``macro_f1`` is the mean over the choices of their F1; ``calibrated_accuracy`` is the accuracy after the mean score
    of each choice over the items is taken from its scores, so that a prompt which favours one word is seen for what it
    is. Values lie in 0-1; the intervals of shares are Wilson's, that of macro-F1 a bootstrap over items; chance is the
    mean of 1 / number of choices, ``majority`` the share of the most frequent right choice. No items, no metrics.
    """
    if not items:
        return ()
    found = [chosen(item, scoring) for item in items]
    gold = [item.gold for item in items]
    chance = math.fsum(1 / len(item.choices) for item in items) / len(items)
    picked = [choice for choice, _ in found]
    if not _same_choices([item.choices for item in items]):
        return (_share("accuracy", picked, gold, chance, None),)
    majority = max(map(gold.count, set(gold))) / len(gold)
    calibrated = _calibrated([scores for _, scores in found])
    return (
        _share("accuracy", picked, gold, chance, majority),
        macro_f1(gold, picked, len(items[0].choices)),
        _share(CALIBRATED, calibrated, gold, chance, majority),
    )


def rank_picks(items: Sequence[RankItem], scoring: str) -> Picks | None:
    """Count the picks of items under ``scoring``; no items, no picks."""
    if not items:
        return None
    found = [chosen(item, scoring) for item in items]
    return count_picks(
        [item.choices for item in items],
        [item.gold for item in items],
        [choice for choice, _ in found],
        [scores for _, scores in found],
    )


def rank_counts(
    choices: Sequence[tuple[str, ...]], gold: Sequence[int | None], scores: Sequence[Sequence[float]]
) -> list[list[list[float]]]:
    """Return for each item the counts (right, 1) of accuracy, and of calibrated accuracy where choices are the same.

    Args:
        choices: Of each item.
        gold: Index of the right one.
        scores: What is compared.
    """
    picked = [best_choice(row) for row in scores]
    calibrated = _calibrated(scores) if _same_choices(choices) else [None] * len(scores)
    return [
        [[float(one == right), 1.0], [] if other is None else [float(other == right), 1.0]]
        for one, other, right in zip(picked, calibrated, gold, strict=True)
    ]


def _same_choices(choices: Sequence[tuple[str, ...]]) -> bool:
    return len(set(choices)) == 1 and len(set(choices[0])) == len(choices[0])


def _calibrated(scores: Sequence[Sequence[float]]) -> list[int]:
    """Return the best choices after the mean score of each choice over the items is taken away."""
    scores_NK = np.array(scores)
    return list(map(int, (scores_NK - scores_NK.mean(axis=0)).argmax(axis=1)))


def _share(name: str, picked: Sequence[int], gold: Sequence[int], chance: float, majority: float | None) -> Metric:
    value = sum(one == other for one, other in zip(picked, gold, strict=True)) / len(gold)
    low, high = wilson(value, len(gold))
    return Metric(name, value, low, high, chance, len(gold), majority=majority)
