"""Beam search: the continuations that are most likely as a whole, several kept at every step.

Follows transformers' ``generate(num_beams=K)`` with its defaults, so that texts can be compared token for
token: of the ``2 K`` best candidates those that end and are among the first ``K`` are finished, with their
log-probability divided by ``length ** length_penalty``; the best ``K`` others continue. A prompt is done when ``K`` are
finished and the best running one, at its present length, is no better than the worst of them.

Legend: G prompts, R running beams of all prompts, H hidden size, V vocabulary, K beams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.engine.forward import PromptState, continue_state, read_prompts
from xmtf.evaluation.generation.decoding import Continuation, Ending, WritingRules
from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["search_beams"]


@dataclass(frozen=True, slots=True)
class _Beam:
    """A continuation: its log-probability, its tokens, and the row of the batch that holds its cache."""

    score: float
    ids: tuple[int, ...]
    row: int
    ending: Ending = "budget"


@dataclass(slots=True)
class _Search:
    """The search behind one prompt."""

    running: list[_Beam]
    finished: list[tuple[float, _Beam]] = field(default_factory=list)
    error: str | None = None
    done: bool = False

    def best(self) -> Continuation:
        if self.error is not None:
            return Continuation((), "budget", self.error)
        _, beam = max(self.finished, key=lambda entry: entry[0])
        return Continuation(beam.ids, beam.ending)


@torch.inference_mode()
def search_beams(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    rules: WritingRules,
    *,
    beams: int,
    length_penalty: float = 1.0,
    stop: Callable[[list[int]], bool] = lambda ids: False,
) -> list[Continuation]:
    """Return the best continuation of every prompt.

    Args:
        model: The model.
        prompts: Token ids, at least one each.
        rules: What ends an answer, and how long it may become; the token that ends it counts in its length.
        beams: K.
        length_penalty: Power of the length that log-probabilities are divided by; above 0 favours long answers.
        stop: Called with the ids of an answer; True finishes it.
    """
    state = read_prompts(model, prompts, pad=rules.pad, prefix_lm=rules.prefix_lm)
    searches = [_Search([_Beam(0.0, (), row)]) for row in range(len(prompts))]
    for step in range(rules.max_new_tokens):
        live = [search for search in searches if not search.done]
        last = step + 1 == rules.max_new_tokens
        _extend(model, state, live, beams, rules, forbid_end=step < rules.min_new_tokens)
        for search in live:
            _settle(search, beams, rules.ends, length_penalty, last, stop)
        chosen = [beam for search in live if not search.done for beam in search.running]
        if not chosen or last:
            break
        device = state.last_GH.device
        rows_R = torch.tensor([beam.row for beam in chosen], device=device)
        tokens_R1 = torch.tensor([beam.ids[-1:] for beam in chosen], device=device)
        _, state = continue_state(model, state, rows_R, tokens_R1, torch.ones_like(tokens_R1))
        place = iter(range(len(chosen)))
        for search in live:
            if not search.done:
                search.running = [_Beam(beam.score, beam.ids, next(place)) for beam in search.running]
    return [search.best() for search in searches]


def _extend(
    model: CausalModel | EncoderDecoderModel,
    state: PromptState,
    live: Sequence[_Search],
    beams: int,
    rules: WritingRules,
    *,
    forbid_end: bool,
) -> None:
    """Replace the running beams of each search by its best candidates: ``2 K``, and K more for each further end."""
    num_ids, ends = rules.num_ids, rules.ends
    logp_RV = torch.log_softmax(model.logits(state.last_GH)[:, :num_ids].float(), dim=-1)
    finite_R = torch.isfinite(logp_RV).all(dim=-1).tolist()
    if forbid_end:
        logp_RV[:, list(ends)] = -torch.inf
    for search in live:
        rows = [beam.row for beam in search.running]
        if not all(finite_R[row] for row in rows):
            search.error, search.done = "non-finite score", True
            continue
        scores_R1 = torch.tensor([[beam.score] for beam in search.running], device=logp_RV.device)
        total_N = (logp_RV[rows] + scores_R1).flatten()
        values, places = total_N.topk(min((1 + len(ends)) * beams, len(total_N)))
        parents = search.running
        search.running = [
            _Beam(score, (*parents[place // num_ids].ids, place % num_ids), parents[place // num_ids].row)
            for score, place in zip(values.tolist(), places.tolist(), strict=True)
            if math.isfinite(score)
        ]


def _settle(
    search: _Search,
    beams: int,
    ends: Sequence[int],
    length_penalty: float,
    last: bool,
    stop: Callable[[list[int]], bool],
) -> None:
    """Sort candidates into finished and running beams, and return whether the search is done."""
    if search.done:
        return
    going: list[_Beam] = []
    for rank, beam in enumerate(search.running):
        ended = beam.ids[-1] in ends
        stopped = not ended and stop(list(beam.ids))
        if not (ended or last or stopped):
            going.append(beam)
        elif rank < beams:
            ending: Ending = "end of text" if ended else "stop text" if stopped else "budget"
            kept = _Beam(beam.score, beam.ids[:-1] if ended else beam.ids, beam.row, ending)
            search.finished.append((beam.score / len(beam.ids) ** length_penalty, kept))
    search.finished = sorted(search.finished, key=lambda entry: -entry[0])[:beams]
    search.running = going[:beams]
    if not going:
        search.done = True
    elif len(search.finished) == beams:
        best_possible = going[0].score / len(going[0].ids) ** length_penalty
        search.done = best_possible <= search.finished[-1][0]
