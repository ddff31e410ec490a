"""Rank classification: the choice with the highest log-probability after the prompt.

The score of a choice is the sum over its tokens of ``log_softmax(logits in fp32)[token]``, as BLOOMZ
was evaluated. The original repeats the prompt for every choice and computes logits of the whole row.
Here a prompt is computed once and its keys and values are shared by all its choices; logits are
computed only where a choice token is predicted, and once for all choices that begin alike::

    prompt            p0 p1 p2            computed once; the logits at p2 predict every first token
    choices           a0 a1 a2  |  b0
    second pass       a0 a1               predicts a1 and a2; one-token choices need none

Source: evaluation facts 1.1 (t-zero at 3f1086c); scores agree with its way to 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from xmtf.evaluation.answer import Answer
from xmtf.evaluation.batches import Ids
from xmtf.evaluation.encoding import Encoder, PromptRules, TextTokenizer
from xmtf.evaluation.metrics.accuracy import best_choice, normalized_scores
from xmtf.records import Prediction, Request

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["rank", "rank_batches", "score_choices"]


def rank(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    rules: PromptRules | None = None,
    scoring: str = "bloomz",
    batch_tokens: int = 8192,
) -> list[Prediction]:
    """Score every choice of every request and choose.

    Args:
        model: A module with one of the two protocols.
        tokenizer: Its tokenizer.
        requests: Any numbers of choices, in any order; the answers come in the same order.
        rules: How requests become ids; default BLOOMZ's for a causal model, mT0's otherwise.
        scoring: ``bloomz``, ``characters``, ``bytes`` or ``tokens``; decides ``choice`` only.
        batch_tokens: Positions computed together; changes nothing but time and memory (fp32: scores to 1e-5).

    Returns:
        One prediction a request. A request that cannot be scored carries an error and no choice.
    """
    scored = score_choices(model, tokenizer, requests, rules=rules, batch_tokens=batch_tokens)
    return [_prediction(request, result, scoring) for request, result in zip(requests, scored, strict=True)]


def _prediction(request: Request, result: Answer, scoring: str) -> Prediction:
    """Choose the best choice of a scored request under ``scoring``."""
    if result.error is not None:
        return Prediction(error=result.error, truncated=result.truncated)
    choice = best_choice(normalized_scores(scoring, request.choices, result.scores, result.num_tokens))
    return Prediction(choice=choice, scores=result.scores, truncated=result.truncated)


def score_choices(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
) -> list[Answer]:
    """Return the scores of every choice of every request, in order of the requests; arguments as :func:`rank`."""
    found = chain.from_iterable(rank_batches(model, tokenizer, requests, rules=rules, batch_tokens=batch_tokens))
    return [answer for _, answer in sorted(found, key=lambda pair: pair[0])]


def rank_batches(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its scores) that it answered; arguments as :func:`rank`."""
    from xmtf.evaluation.scoring import score_batches

    causal = model.family == "causal"
    encoder = Encoder(tokenizer, rules or PromptRules(space_before_targets=causal, end_of_choices=not causal))
    choices = encoder.choices([request.choices for request in requests])
    room = [max((len(choice) for choice in row), default=0) for row in choices]
    prompts = encoder.prompts([request.prompt for request in requests], room)

    def answer(index: int, scores: tuple[float, ...], error: str | None) -> tuple[int, Answer]:
        if not all(math.isfinite(score) for score in scores):
            scores, error = (), "non-finite score"
        num_tokens = tuple(len(choice) for choice in choices[index])
        return index, Answer(scores, num_tokens, None, error, prompts[index].truncated)

    refusals = {
        index: refusal
        for index, (prompt, row) in enumerate(zip(prompts, choices, strict=True))
        if (refusal := _refusal(prompt.ids, row, encoder.rules.max_total_tokens)) is not None
    }
    yield [answer(index, (), refusal) for index, refusal in refusals.items()]
    found = score_batches(
        model,
        [prompt.ids for prompt in prompts],
        choices,
        [index for index in range(len(requests)) if index not in refusals],
        pad=tokenizer.pad,
        prefix_lm=encoder.rules.prefix_lm,
        batch_tokens=batch_tokens,
    )
    for batch in found:
        yield [answer(index, tuple(choice.score for choice in scores), None) for index, scores in batch]


def _refusal(prompt: Ids, choices: Sequence[Ids], longest: int | None) -> str | None:
    if not prompt:
        return "empty prompt"
    if not choices:
        return "no choices"
    if not all(choices):
        return "empty choice"
    if longest is not None and max(len(choice) for choice in choices) >= longest:
        return f"a choice is longer than the model's {longest} positions"
    return None
