"""Sums of log-probabilities of choices, from hidden states that predict their tokens.

Shapes: P positions whose logits are computed, Q queries, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import PromptGroup
from xmtf.evaluation.ranking.token_scores import token_scores
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Asked", "ChoiceScore", "Totals"]

Asked = tuple[int, int, int, int]
"""A query: where its hidden state stands, the token, the group that it is asked for, the place of the choice."""


@dataclass(frozen=True, slots=True)
class ChoiceScore:
    """How likely a choice is.

    Attributes:
        score: Sum of the log-probabilities of its tokens, natural log.
        greedy: Whether each of its tokens is the most likely one.
    """

    score: float
    greedy: bool


class Totals:
    """Sums of log-probabilities: hidden states are collected, and go through the head together.

    Args:
        model: Whose head is used.
        groups: Whose choices are scored.
    """

    def __init__(self, model: CausalModel | EncoderDecoderModel, groups: Sequence[PromptGroup]) -> None:
        self.model = model
        self.groups = groups
        self.hidden: list[Tensor] = []
        self.asked: list[Asked] = []
        self.rows = 0

    def ask(self, hidden_PH: Tensor, queries: Iterable[Asked]) -> None:
        """Note queries: (place among ``hidden_PH``, token, group, place of the choice)."""
        self.asked += [(self.rows + row, token, group, place) for row, token, group, place in queries]
        self.hidden.append(hidden_PH)
        self.rows += len(hidden_PH)

    @property
    def scores(self) -> list[list[ChoiceScore]]:
        """Scores of every choice of every group."""
        sums = [[0.0] * len(group.choices) for group in self.groups]
        greedy = [[True] * len(group.choices) for group in self.groups]
        device = self.hidden[0].device
        rows_Q, tokens_Q = (torch.tensor(column, device=device) for column in list(zip(*self.asked, strict=True))[:2])
        scores_Q, greedy_Q = token_scores(self.model, torch.cat(self.hidden), rows_Q, tokens_Q)
        for (_, _, group, place), score, best in zip(self.asked, scores_Q.tolist(), greedy_Q.tolist(), strict=True):
            sums[group][place] += score
            greedy[group][place] &= best
        return [list(map(ChoiceScore, *row)) for row in zip(sums, greedy, strict=True)]
