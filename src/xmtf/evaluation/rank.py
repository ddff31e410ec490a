"""Rank classification: the choice with the highest log-probability after the prompt.

The score of a choice is the sum over its tokens of ``log_softmax(logits in fp32)[token]``, as BLOOMZ
was evaluated. The original repeats the prompt for every choice and computes logits of the whole row.
Here a prompt is computed once, and logits only where a choice token is predicted, once for all choices
that begin alike (:mod:`xmtf.evaluation.scoring`)::

    prompt            p0 p1 p2            the logits at p2 predict every first token
    choices           a0 a1 a2  |  b0
    read behind it    a0 a1               predicts a1 and a2; one-token choices need nothing

Source: evaluation facts 1.1 (t-zero at 3f1086c); scores agree with its way to 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from xmtf.evaluation.answer import Answer
from xmtf.evaluation.batches import Ids
from xmtf.evaluation.encoding import Encoder, PromptRules, TextTokenizer
from xmtf.evaluation.joint import JointEncoder, prefix_token
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
        scoring: One of :data:`xmtf.evaluation.metrics.accuracy.SCORINGS`; decides ``choice`` only. ``pmi`` and
            ``lm_eval`` need ``rules`` whose ``also`` names them.
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
    sums = (result.scores, result.num_tokens, result.unconditional, result.joint)
    choice = best_choice(normalized_scores(scoring, request.choices, *sums))
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
    rules = rules or PromptRules(space_before_targets=causal, end_of_choices=not causal)
    plan = _Plan(tokenizer, requests, rules, causal=causal)
    yield [(index, plan.answer(index, refusal)) for index, refusal in plan.refusals.items()]
    options: dict[str, Any] = {"pad": tokenizer.pad, "prefix_lm": rules.prefix_lm, "batch_tokens": batch_tokens}
    for members in plan.passes:
        for batch in score_batches(model, plan.contexts, plan.continuations, members, **options):
            done = [
                index for asked, choices in batch for index in plan.take(asked, [choice.score for choice in choices])
            ]
            yield [(index, plan.answer(index, None)) for index in done]


class _Plan:
    """What is asked of the model for requests, and which request waits for which of it.

    Questions are pairs of a context and continuations. Each request is one, with all its choices; PMI asks
    each different choice once after an empty prompt; the harness's rules may split a request differently.
    """

    def __init__(
        self, tokenizer: TextTokenizer, requests: Sequence[Request], rules: PromptRules, *, causal: bool
    ) -> None:
        encoder = Encoder(tokenizer, rules)
        self.choices = encoder.choices([request.choices for request in requests])
        room = [max((len(choice) for choice in row), default=0) for row in self.choices]
        self.prompts = encoder.prompts([request.prompt for request in requests], room)
        self.refusals = {
            index: refusal
            for index, (prompt, row) in enumerate(zip(self.prompts, self.choices, strict=True))
            if (refusal := _refusal(prompt.ids, row, rules.max_total_tokens)) is not None
        }
        self.contexts: list[Ids] = [prompt.ids for prompt in self.prompts]
        self.continuations: list[Sequence[Ids]] = list(self.choices)
        askable = [index for index in range(len(requests)) if index not in self.refusals]
        self.passes = [askable]
        self.scores: dict[int, list[float]] = {}
        self.waiting = dict.fromkeys(askable, 1)
        self.owners: dict[int, list[int]] = {index: [index] for index in askable}
        self.alone: dict[Ids, int] = {}
        self.joint: dict[int, list[tuple[int, int]]] = {}
        self.cut: set[int] = set()
        if "pmi" in rules.also:
            self._ask_alone(askable, (prefix_token(tokenizer),))
        if "lm_eval" in rules.also:
            longest = rules.max_total_tokens or rules.max_prompt_tokens
            self._ask_jointly(askable, requests, JointEncoder(tokenizer, causal=causal, max_length=longest))

    def _question(self, context: Ids, continuation: Ids) -> int:
        self.contexts.append(context)
        self.continuations.append((continuation,))
        return len(self.contexts) - 1

    def _ask_alone(self, askable: Sequence[int], context: Ids) -> None:
        for index in askable:
            for choice in self.choices[index]:
                if choice not in self.alone:
                    self.alone[choice] = self._question(context, choice)
        # a pass of its own, before: an answer is written down when all of it is there
        self.passes.insert(0, list(self.alone.values()))

    def _ask_jointly(self, askable: Sequence[int], requests: Sequence[Request], encoder: JointEncoder) -> None:
        """Note where the sums by the harness's rules come from: our own, where the ids are the same."""
        texts = [(requests[index].prompt, f" {choice}") for index in askable for choice in requests[index].choices]
        pairs = iter(encoder.pairs(texts))
        known: dict[tuple[Ids, Ids], int] = {}
        for index in askable:
            row = [next(pairs) for _ in self.choices[index]]
            keys = [(pair.context, pair.continuation) for pair in row]
            if any(pair.truncated for pair in row):
                self.cut.add(index)
            if keys == [(self.prompts[index].ids, choice) for choice in self.choices[index]]:
                self.joint[index] = [(index, place) for place in range(len(row))]
                continue
            self.joint[index] = []
            for key in keys:
                if key not in known:
                    known[key] = self._question(*key)
                self.owners.setdefault(known[key], []).append(index)
                self.waiting[index] += 1
                self.joint[index].append((known[key], 0))
        self.passes[-1] = [*self.passes[-1], *known.values()]

    def take(self, question: int, scores: list[float]) -> list[int]:
        """Note the scores of a question; return the requests that wait for nothing else."""
        self.scores[question] = scores
        owners = self.owners.get(question, [])
        for owner in owners:
            self.waiting[owner] -= 1
        return [owner for owner in dict.fromkeys(owners) if not self.waiting[owner]]

    def answer(self, index: int, refusal: str | None) -> Answer:
        """Return the answer to a request that was refused, or whose questions are all answered."""
        num_tokens = tuple(len(choice) for choice in self.choices[index])
        truncated = self.prompts[index].truncated or index in self.cut
        if refusal is not None:
            return Answer((), num_tokens, None, refusal, truncated)
        scores = tuple(self.scores[index])
        alone = tuple(self.scores[self.alone[choice]][0] for choice in self.choices[index]) if self.alone else ()
        joint = tuple(self.scores[question][place] for question, place in self.joint.get(index, ()))
        if not all(map(math.isfinite, (*scores, *alone, *joint))):
            return Answer((), num_tokens, None, "non-finite score", truncated)
        return Answer(scores, num_tokens, None, None, truncated, alone, joint)


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
