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

The last two need sums of their own, which are kept beside the first: ``unconditional`` and ``joint``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xmtf.errors import ConfigError
from xmtf.intervals import wilson
from xmtf.records import Metric

__all__ = ["SCORINGS", "RankItem", "best_choice", "normalized_scores", "rank_metrics"]

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
            raise ConfigError("the items do not tell how many tokens their choices have (results of another harness)")
    else:
        raise ValueError(f"unknown scoring {scoring!r}")
    return tuple(score / max(1, length) for score, length in zip(scores, lengths, strict=True))


def best_choice(scores: Sequence[float]) -> int:
    """Return the index of the highest score, the first on ties; every score must be finite."""
    if not scores or not all(math.isfinite(score) for score in scores):
        raise ValueError("a choice needs at least one score, and finite ones")
    return max(range(len(scores)), key=lambda index: (scores[index], -index))


def rank_metrics(items: Sequence[RankItem], scoring: str) -> tuple[Metric, ...]:
    """Return accuracy under ``scoring``; no items, no metrics.

    The value lies in 0-1; its interval is Wilson's, chance the mean of 1 / number of choices.
    """
    if not items:
        return ()
    chance = math.fsum(1 / len(item.choices) for item in items) / len(items)
    right = sum(
        best_choice(
            normalized_scores(scoring, item.choices, item.scores, item.num_tokens, item.unconditional, item.joint)
        )
        == item.gold
        for item in items
    )
    low, high = wilson(right / len(items), len(items))
    return (Metric("accuracy", right / len(items), low, high, chance, len(items)),)
