"""The loop of decoding, greedy or sampled, apart from :mod:`xmtf.evaluation.generation.generate`: it imports torch.

Legend: G prompts, R answers in the batch, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.forward import continue_state, read_prompts, select_state
from xmtf.evaluation.generation.decoding import Continuation, Ending, WritingRules
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Sampling", "decode", "draw_tokens"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn instead of taking the most likely one.

    Attributes:
        temperature: Logits are divided by it, above 0.
        top_p: Tokens are drawn from the smallest set that holds this share of the probability.
        top_k: Tokens are drawn from so many most likely ones; 0 for all.
        draws: Numbers in [0, 1), ``[answers, tokens]``: which token of the distribution is drawn. Given from
            outside, so that a sample depends on its own numbers and not on the batch that it is in.
    """

    temperature: float
    top_p: float
    draws: np.ndarray
    top_k: int = 0


@torch.inference_mode()
def decode(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    prompt_of: Sequence[int],
    rules: WritingRules,
    *,
    sampling: Sampling | None = None,
    stop: Callable[[int, list[int]], bool] = lambda row, ids: False,
) -> list[Continuation]:
    """Continue prompts token by token.

    Args:
        model: The model.
        prompts: Token ids, at least one each; each prompt is read once.
        prompt_of: For each answer the prompt that it continues; a prompt may have many answers.
        rules: What ends an answer, and how long it may become.
        sampling: How tokens are drawn; None takes the most likely one.
        stop: Called with the index of an answer and its ids after each token; True ends it.
    """
    state = read_prompts(model, prompts, pad=rules.pad, prefix_lm=rules.prefix_lm)
    if list(prompt_of) != list(range(len(prompts))):
        state = select_state(state, torch.tensor(prompt_of, dtype=torch.int64, device=state.last_GH.device))
    answers = [_Answer([]) for _ in prompt_of]
    rows = list(range(len(answers)))
    for step in range(rules.max_new_tokens):
        logits_RV = model.logits(state.last_GH)[:, : rules.num_ids].float()
        finite = torch.isfinite(logits_RV).all(dim=-1).tolist()
        if step < rules.min_new_tokens:
            logits_RV[:, list(rules.ends)] = -torch.inf
        tokens = _choose(logits_RV, sampling, rows, step)
        for row, token, usable in zip(rows, tokens, finite, strict=True):
            answers[row].take(token, rules.ends, usable, partial(stop, row))
        live = [place for place, row in enumerate(rows) if answers[row].live]
        if not live or step + 1 == rules.max_new_tokens:
            break
        chosen = None
        if 2 * len(live) <= len(rows):
            rows, tokens = [rows[place] for place in live], [tokens[place] for place in live]
            chosen = torch.tensor(live, dtype=torch.int64, device=logits_RV.device)
        tokens_R1 = torch.tensor(tokens, dtype=torch.int64, device=logits_RV.device)[:, None]
        _, state = continue_state(model, state, chosen, tokens_R1, torch.ones_like(tokens_R1))
    return [Continuation(tuple(answer.ids), answer.ending, answer.error) for answer in answers]


def _choose(logits_RV: Tensor, sampling: Sampling | None, rows: Sequence[int], step: int) -> list[int]:
    """Return the next token of every row."""
    if sampling is None:
        return [int(token) for token in logits_RV.argmax(dim=-1).tolist()]
    draws_R = sampling.draws[list(rows), step]
    return draw_tokens(logits_RV / sampling.temperature, sampling.top_p, draws_R, top_k=sampling.top_k)


def draw_tokens(logits_RV: Tensor, top_p: float, draws_R: np.ndarray, *, top_k: int = 0) -> list[int]:
    """Draw a token of each row's nucleus: the most likely tokens that together reach ``top_p``.

    Probabilities 0.5, 0.3, 0.2 and ``top_p`` 0.7 leave 0.625 and 0.375 of the first two::

        draw    0.0  0.6  0.7  0.99
        token     0    0    1     1

    With ``top_k`` only so many most likely tokens are looked at, and ``top_p`` is a share of theirs.
    """
    if top_k:
        logits_RV, kept_RV = logits_RV.topk(min(top_k, logits_RV.shape[1]), dim=-1)
    sorted_RV, order_RV = torch.softmax(logits_RV, dim=-1).sort(dim=-1, descending=True, stable=True)
    if top_k:
        order_RV = kept_RV.gather(1, order_RV)
    up_to_RV = sorted_RV.double().cumsum(dim=-1)
    size_R1 = (up_to_RV - sorted_RV < top_p).sum(dim=-1, keepdim=True)
    mass_R1 = up_to_RV.gather(1, size_R1 - 1)
    target_R1 = torch.from_numpy(draws_R).to(logits_RV.device)[:, None] * mass_R1
    place_R1 = torch.minimum((up_to_RV <= target_R1).sum(dim=-1, keepdim=True), size_R1 - 1)
    return [int(token) for token in order_RV.gather(1, place_R1)[:, 0].tolist()]


@dataclass(slots=True)
class _Answer:
    ids: list[int]
    ended: bool = False
    stopped: bool = False
    error: str | None = None

    @property
    def live(self) -> bool:
        return not self.ended and self.error is None

    @property
    def ending(self) -> Ending:
        if self.stopped:
            return "stop text"
        return "end of text" if self.ended else "budget"

    def take(self, token: int, ends: Sequence[int], usable: bool, stop: Callable[[list[int]], bool]) -> None:
        if not self.live:
            return
        if not usable:
            self.error = "non-finite score"
        elif token in ends:
            self.ended = True
        else:
            self.ids.append(token)
            self.ended = self.stopped = stop(self.ids)
