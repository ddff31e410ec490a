"""The loop of decoding, greedy or sampled, apart from :mod:`xmtf.evaluation.generation.generate`: it imports torch.

Legend: G prompts, R answers in the batch, C tokens read for one, F for all of them, H hidden size, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from xmtf.evaluation.engine.batches import Ids, pad_right
from xmtf.evaluation.engine.forward import PromptState, continue_state, joined, read_prompts, select_state
from xmtf.evaluation.generation.decoding import Continuation, Ending, WritingRules
from xmtf.evaluation.generation.lookup import Guess, Lookup, worth_reading
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.ragged import RaggedCache, ragged_reader

__all__ = ["Sampling", "decode", "draw_tokens", "most_likely"]

_PIECE = 512
"""Tokens of the vocabulary whose logits are computed together."""

_FEW_ROWS = 4
"""Fewer rows are bounded by reading the head, in pieces or not."""


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
    most_rows: int | None = None,
    lookup: bool = True,
) -> list[Continuation]:
    """Continue prompts token by token; where rows are read without padding, several at a time where they repeat.

    Args:
        model: The model.
        prompts: Token ids, at least one each; each prompt is read once for all of its answers that begin together.
        prompt_of: For each answer the prompt that it continues; a prompt may have many answers.
        rules: What ends an answer, and how long it may become.
        sampling: How tokens are drawn; None takes the most likely one.
        stop: Called with the index of an answer and its ids after each token; True ends it.
        most_rows: Answers written at a time, where others can take the place of those that have ended
            (:func:`xmtf.models.layers.ragged.ragged_reader`); None for all.
        lookup: Whether to guess tokens from what stood before (:mod:`xmtf.evaluation.generation.lookup`).
    """
    answers = [_Answer([], rules.max_new_tokens) for _ in prompt_of]
    guessing = lookup and ragged_reader(model) is not None
    lookups = [Lookup(prompts[place]) if guessing else None for place in prompt_of]
    waiting = list(range(len(answers)))
    width = len(waiting) if most_rows is None or ragged_reader(model) is None else most_rows
    rows, state = waiting[:width], _begin(model, prompts, prompt_of, waiting[:width], rules)
    waiting = waiting[width:]
    hidden_FH = state.last_GH
    guesses: list[Guess] = [()] * len(rows)
    while True:
        written = [_Step(row, answers[row], guess, lookups[row]) for row, guess in zip(rows, guesses, strict=True)]
        _write_tokens(model, hidden_FH, state, written, rules, sampling, stop)
        live = [place for place, row in enumerate(rows) if answers[row].live]
        fresh = waiting[: width - len(live)] if 4 * len(live) <= 3 * width else []
        if live:
            chosen = None
            if fresh or 4 * len(live) <= 3 * len(rows):
                rows = [rows[place] for place in live]
                chosen = torch.tensor(live, dtype=torch.int64, device=state.last_GH.device)
            guesses = [_guess(answers[row], lookups[row], len(rows)) for row in rows]
            guesses = guesses if worth_reading(guesses) else [()] * len(rows)
            last = [(answers[row].ids or [rules.pad])[-1] for row in rows]  # of ended ones nothing is wanted
            tokens = [(token, *guess) for token, guess in zip(last, guesses, strict=True)]
            tokens_RC, segments_RC = pad_right(tokens, rules.pad, str(state.last_GH.device))
            hidden_RCH, state = continue_state(model, state, chosen, tokens_RC, segments_RC)
            hidden_FH = hidden_RCH[segments_RC > 0]
        if fresh:
            begun = _begin(model, prompts, prompt_of, fresh, rules)
            if live:
                rows, state = [*rows, *fresh], joined(state, begun)
                hidden_FH, guesses = torch.cat([hidden_FH, begun.last_GH]), [*guesses, *[()] * len(fresh)]
            else:
                rows, state, hidden_FH, guesses = fresh, begun, begun.last_GH, [()] * len(fresh)
            waiting = waiting[len(fresh) :]
        elif not live:
            return [Continuation(tuple(answer.ids), answer.ending, answer.error) for answer in answers]


def _begin(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    prompt_of: Sequence[int],
    rows: Sequence[int],
    rules: WritingRules,
) -> PromptState:
    """Read the prompts of some answers; return the state behind each answer's own."""
    read = list(dict.fromkeys(prompt_of[row] for row in rows))
    state = read_prompts(model, [prompts[place] for place in read], pad=rules.pad, prefix_lm=rules.prefix_lm)
    chosen = [read.index(prompt_of[row]) for row in rows]
    if chosen == list(range(len(read))):
        return state
    return select_state(state, torch.tensor(chosen, dtype=torch.int64, device=state.last_GH.device))


@dataclass(frozen=True, slots=True)
class _Step:
    """What one row gets in a step.

    Attributes:
        row: Index of the answer.
        answer: What it has so far.
        guess: Tokens that the model has read after its last one.
        lookup: Where guesses come from, or None.
    """

    row: int
    answer: _Answer
    guess: Guess
    lookup: Lookup | None


def _write_tokens(
    model: CausalModel | EncoderDecoderModel,
    hidden_FH: Tensor,
    state: PromptState,
    steps: Sequence[_Step],
    rules: WritingRules,
    sampling: Sampling | None,
    stop: Callable[[int, list[int]], bool],
) -> None:
    """Give every answer that has not ended its next token, and further ones as long as guesses are right.

    What the model remembers of wrong ones is forgotten.
    """
    places = [(step.row, len(step.answer.ids) + more) for step in steps for more in range(len(step.guess) + 1)]
    logits_FV = _logits(model, hidden_FH, rules.num_ids)
    finite = _finite_rows(logits_FV)
    early = [place for place, (_, written) in enumerate(places) if written < rules.min_new_tokens]
    if early:
        logits_FV[torch.tensor(early)[:, None], torch.tensor(rules.ends, dtype=torch.int64)] = -torch.inf
    found = zip(_choose(logits_FV, sampling, places), finite, strict=True)
    for place, step in enumerate(steps):
        own = [next(found) for _ in range(len(step.guess) + 1)]
        before = len(step.answer.ids)
        right = step.answer.take_all(own, step.guess, rules.ends, partial(stop, step.row))
        if step.lookup is not None:
            step.lookup.extend(step.answer.ids[before:])
        if step.guess and step.lookup is not None:
            assert isinstance(state.cache, RaggedCache)
            step.lookup.learn(len(step.guess), right)
            state.cache.forget(place, len(step.guess) - right)


def _guess(answer: _Answer, lookup: Lookup | None, num_rows: int) -> Guess:
    """Return what may follow an answer's last token and lies before the last one that it has room for."""
    if lookup is None or not answer.live:
        return ()
    return lookup.guess(answer.budget - len(answer.ids) - 1, num_rows)


def _logits(model: CausalModel | EncoderDecoderModel, hidden_RH: Tensor, num_ids: int) -> Tensor:
    """Return fp32 logits ``[R, num_ids]``; on a processor piece by piece, which suits products with few rows.

    Of a sliced model pieces are put together from all processes: all at once.
    """
    if hidden_RH.device.type != "cpu" or len(hidden_RH) < _FEW_ROWS or getattr(model, "sliced", False):
        return model.logits(hidden_RH)[:, :num_ids].float()
    logits_RV = torch.empty(len(hidden_RH), num_ids)
    for start in range(0, num_ids, _PIECE):
        piece = slice(start, min(start + _PIECE, num_ids))
        logits_RV[:, piece] = model.logits(hidden_RH, piece)
    return logits_RV


def _finite_rows(logits_RV: Tensor) -> list[bool]:
    """Return which rows hold finite numbers only: where their sum is, which is quicker to say, they are."""
    finite_R = torch.isfinite(logits_RV.sum(dim=-1))
    if not finite_R.all():
        finite_R = torch.isfinite(logits_RV).all(dim=-1)
    return [bool(finite) for finite in finite_R.tolist()]


def _choose(logits_RV: Tensor, sampling: Sampling | None, places: Sequence[tuple[int, int]]) -> list[int]:
    """Return the next token of every row.

    Args:
        logits_RV: May be overwritten.
        sampling: How tokens are drawn, or None.
        places: The answer of each row and how many tokens it has.
    """
    if sampling is None:
        return most_likely(logits_RV)
    most = sampling.draws.shape[1] - 1
    draws_R = sampling.draws[[row for row, _ in places], [min(step, most) for _, step in places]]
    return draw_tokens(logits_RV / sampling.temperature, sampling.top_p, draws_R, top_k=sampling.top_k)


def most_likely(logits_RV: Tensor) -> list[int]:
    """Return the first of the most likely tokens of each row: first the piece that it is in, then its place there.

    torch finds the greatest number quickly, and where it stands slowly.
    """
    num_rows, num_ids = logits_RV.shape
    whole = num_ids - num_ids % _PIECE
    pieces_RCP = logits_RV[:, :whole].reshape(num_rows, -1, _PIECE) if whole else logits_RV[:, None]
    best_R = pieces_RCP.amax(dim=2).argmax(dim=1)
    found_RP = pieces_RCP[torch.arange(num_rows, device=best_R.device), best_R]
    tokens_R = best_R * _PIECE + found_RP.argmax(dim=1)
    if 0 < whole < num_ids:
        rest_R, place_R = logits_RV[:, whole:].max(dim=1)
        tokens_R = torch.where(rest_R > found_RP.amax(dim=1), place_R + whole, tokens_R)
    return [int(token) for token in tokens_R.tolist()]


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
    budget: int
    ended: bool = False
    stopped: bool = False
    error: str | None = None

    @property
    def live(self) -> bool:
        return not self.ended and self.error is None and len(self.ids) < self.budget

    @property
    def ending(self) -> Ending:
        if self.stopped:
            return "stop text"
        return "end of text" if self.ended else "budget"

    def take_all(
        self, found: Sequence[tuple[int, bool]], guess: Guess, ends: Sequence[int], stop: Callable[[list[int]], bool]
    ) -> int:
        """Take the first token, and each further one while the guess that it follows is right; return how many were."""
        right = 0
        for place, (token, usable) in enumerate(found):
            self.take(token, ends, usable, stop)
            if not self.live or guess[place : place + 1] != (token,):
                break
            right += 1
        return right

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
