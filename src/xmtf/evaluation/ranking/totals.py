"""Sums of log-probabilities of choices, without ever holding the logits of a whole vocabulary.

With 250,880 tokens the logits of one position are a megabyte, and taking their exponentials costs more
than the product that makes them when they have to come back from memory. So the vocabulary is gone
through in pieces that stay in the processor's cache, with a running maximum and sum::

    piece        logits        maximum   sum of exp(logit - maximum)
    first        1.0  3.0      3.0       1.135
    second       4.0  2.0      4.0       1.135 * exp(3 - 4) + 1.135

Legend: P positions whose logits are computed, H hidden size, V vocabulary, C tokens of a piece, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import PromptGroup
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Asked", "ChoiceScore", "Totals"]

_CPU_PIECE = 4096
"""A piece of 64 positions is then 1 MiB of fp32."""

_DEVICE_LOGITS = 2**26
"""Logits held at once on an accelerator, where launching many small products costs more than memory."""

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
        scores_Q, greedy_Q = _token_scores(self.model, torch.cat(self.hidden), rows_Q, tokens_Q)
        for (_, _, group, place), score, best in zip(self.asked, scores_Q.tolist(), greedy_Q.tolist(), strict=True):
            sums[group][place] += score
            greedy[group][place] &= best
        return [list(map(ChoiceScore, *row)) for row in zip(sums, greedy, strict=True)]


def _token_scores(
    model: CausalModel | EncoderDecoderModel, hidden_PH: Tensor, positions_Q: Tensor, tokens_Q: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each queried token, and whether it is the most likely one.

    Args:
        model: Whose head is used.
        hidden_PH: Hidden states; each is multiplied with the head once, however many tokens are asked of it.
        positions_Q: int64, which hidden state predicts the token of each query.
        tokens_Q: int64, the tokens.

    Returns:
        fp32 ``[Q]``, natural log, and bool ``[Q]``. The numbers depend on the pieces only by rounding, and
        the pieces are the same whatever is asked together.
    """
    order_Q = tokens_Q.argsort(stable=True)
    rows_Q, sought_Q = positions_Q[order_Q], tokens_Q[order_Q]
    maximum_P = hidden_PH.new_full((len(hidden_PH),), -torch.inf, dtype=torch.float32)
    total_P = torch.zeros_like(maximum_P)
    found_Q = torch.empty(len(sought_Q), dtype=torch.float32, device=hidden_PH.device)
    for start, logits_PC in _pieces(model, hidden_PH):
        end = start + logits_PC.shape[1]
        low, high = (int(torch.searchsorted(sought_Q, edge)) for edge in (start, end))
        found_Q[low:high] = logits_PC[rows_Q[low:high], sought_Q[low:high] - start]
        higher_P = torch.maximum(maximum_P, logits_PC.amax(dim=1))
        total_P = total_P * torch.exp(maximum_P - higher_P) + logits_PC.sub_(higher_P[:, None]).exp_().sum(dim=1)
        maximum_P = higher_P
    normalizer_P = maximum_P + total_P.log()
    scores_Q, greedy_Q = torch.empty_like(found_Q), torch.empty_like(found_Q, dtype=torch.bool)
    scores_Q[order_Q] = found_Q - normalizer_P[rows_Q]
    greedy_Q[order_Q] = found_Q >= maximum_P[rows_Q]
    return scores_Q, greedy_Q


def _pieces(model: CausalModel | EncoderDecoderModel, hidden_PH: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield the first token of each piece and its fp32 logits ``[P, C]``, which may be overwritten."""
    width = _CPU_PIECE
    if hidden_PH.device.type != "cpu":
        width = max(width, _DEVICE_LOGITS // len(hidden_PH))
    for start in range(0, model.vocab_size, width):
        yield start, model.logits(hidden_PH, slice(start, start + width)).float()
