"""Rank classification: the choice with the highest log-probability after the prompt.

The score of a choice is the sum over its tokens of ``log_softmax(logits in fp32)[token]``, as BLOOMZ
was evaluated. The original repeats the prompt for every choice and computes logits of the whole row.
Here a prompt is computed once, and logits only where a choice token is predicted, once for all choices
that begin alike (:mod:`xmtf.evaluation.ranking.passes`)::

    prompt            p0 p1 p2            the logits at p2 predict every first token
    choices           a0 a1 a2  |  b0
    read behind it    a0 a1               predicts a1 and a2; one-token choices need nothing

A model that reads token trees computes a prompt and all its choices in one pass, prompts that begin alike together. Any
other model, and a very long prompt, is read into a cache, and the choices behind copies of it.

Source: evaluation facts 1.1 (t-zero at 3f1086c); scores agree with its way to 1e-4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

from xmtf.evaluation.engine.answer import Answer, Known, in_order, nothing_known, unanswered
from xmtf.evaluation.engine.batches import Ids, PromptGroup, batches, group_prompts, members_of
from xmtf.evaluation.engine.encoding import Encoded, Encoder, PromptRules, TextTokenizer, prompt_rules
from xmtf.evaluation.engine.forward import computes_alone, in_halves
from xmtf.evaluation.engine.harness_encoding import JointEncoder, TokenPair, prefix_token
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.metrics.accuracy import best_choice, normalized_scores
from xmtf.evaluation.ranking.passes import (
    ChoiceScore,
    TreeGroup,
    score_cached,
    score_trees,
    tree_batches,
    tree_groups,
)
from xmtf.models.interface import CausalModel, EncoderDecoderModel
from xmtf.models.layers.trees import ForestReader, PromptForestReader, tree_fault
from xmtf.records import Prediction, Request

__all__ = ["Score", "rank", "rank_batches", "rank_by", "score_batches", "score_choices", "way_of_scoring"]

_LARGEST_TREE = 8192
"""A mask holds every pair of nodes, 0.3 GB at this size; longer prompts are read into a cache, which needs none."""


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
    return in_order(rank_batches(model, tokenizer, requests, rules=rules, batch_tokens=batch_tokens))


def rank_batches(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
    processes: Processes = ALONE,
    known: Known = nothing_known,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its scores) that it answered.

    Arguments as :func:`rank`; with several ``processes``, the batches of this one. A batch of which all answers are
    ``known`` is left out.
    """
    rules = rules or prompt_rules(model, tokenizer)
    score = partial(score_batches, model, pad=tokenizer.pad, prefix_lm=rules.prefix_lm, batch_tokens=batch_tokens)
    causal = model.family == "causal"
    yield from rank_by(score, tokenizer, requests, rules, causal=causal, processes=processes, known=known)


class Score(Protocol):
    """Scores choices after prompts, batch by batch, as :func:`score_batches` does with a model available."""

    def __call__(
        self,
        prompts: Sequence[Ids],
        choices: Sequence[Sequence[Ids]],
        members: Iterable[int],
        *,
        processes: Processes = ALONE,
        known: Known = nothing_known,
    ) -> Iterator[list[tuple[int, tuple[ChoiceScore, ...]]]]:
        """Yield, after each batch, (index of a prompt, the scores of its choices)."""


def rank_by(
    score: Score,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    rules: PromptRules,
    *,
    causal: bool,
    processes: Processes = ALONE,
    known: Known = nothing_known,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield what :func:`rank_batches` does, whoever scores the choices."""
    plan = _Plan(tokenizer, requests, rules, causal=causal)
    for refused in unanswered([list(plan.refusals)], list, known):
        yield [(index, plan.answer(index)) for index in refused]

    def scored(
        contexts: Sequence[Ids], continuations: Sequence[Sequence[Ids]], known: Known = nothing_known
    ) -> Iterator[tuple[int, list[float]]]:
        for batch in score(contexts, continuations, range(len(contexts)), known=known):
            yield from ((index, [choice.score for choice in choices]) for index, choices in batch)

    if "pmi" in rules.also:
        nothing = rules.begin_of_inputs or (prefix_token(tokenizer),)
        choices = list(dict.fromkeys(choice for index in plan.askable for choice in plan.choices[index]))
        plan.alone = plan.alone_of(known)
        answered = [Answer() if choice in plan.alone else None for choice in choices]
        found = scored([nothing] * len(choices), [(choice,) for choice in choices], answered.__getitem__)
        plan.alone |= {choices[index]: score for index, (score,) in found}
    contexts = [prompt.ids for prompt in plan.prompts]
    for batch in score(contexts, plan.choices, plan.askable, processes=processes, known=known):
        done = [index for index, _ in batch]
        plan.scores.update((index, tuple(choice.score for choice in choices)) for index, choices in batch)
        if "lm_eval" in rules.also:
            asked = plan.joint_questions(done)
            pairs = scored([context for context, _ in asked], [(continuation,) for _, continuation in asked])
            plan.joint.update((asked[index], score) for index, (score,) in pairs)
        yield [(index, plan.answer(index)) for index in done]


class _Plan:
    """What is asked of the model for requests, and its answers.

    Attributes:
        choices: Ids of the choices of every request.
        prompts: Its prompt.
        refusals: Why a request cannot be asked, by its index.
        askable: The others.
        scores: Sums of the choices of a request, by its index.
        alone: Sum of a choice after an empty prompt.
        joint: Sum of a (context, continuation) by the harness's rules, of the batch available.
    """

    def __init__(
        self, tokenizer: TextTokenizer, requests: Sequence[Request], rules: PromptRules, *, causal: bool
    ) -> None:
        encoder = Encoder(tokenizer, rules)
        self.rules = rules
        self.choices = encoder.choices([request.choices for request in requests])
        room = [max((len(choice) for choice in row), default=0) for row in self.choices]
        self.prompts = encoder.prompts([request.prompt for request in requests], room)
        self.refusals = {
            index: refusal
            for index, (prompt, row) in enumerate(zip(self.prompts, self.choices, strict=True))
            if (refusal := _refusal(prompt, row, rules)) is not None
        }
        self.askable = [index for index in range(len(requests)) if index not in self.refusals]
        self.scores: dict[int, tuple[float, ...]] = {}
        self.alone: dict[Ids, float] = {}
        self.joint: dict[tuple[Ids, Ids], float] = {}
        longest = rules.max_total_tokens or rules.max_prompt_tokens
        self._requests = requests
        self._joint_encoder = JointEncoder(tokenizer, causal=causal, max_length=longest)
        self._pairs: dict[int, list[TokenPair]] = {}

    def alone_of(self, known: Known) -> dict[Ids, float]:
        """Return the sums of choices after an empty prompt that are in answers that are known."""
        return {
            choice: score
            for index in self.askable
            if (answer := known(index)) is not None and answer.unconditional
            for choice, score in zip(self.choices[index], answer.unconditional, strict=True)
        }

    def joint_questions(self, indexes: Sequence[int]) -> list[tuple[Ids, Ids]]:
        """Return the pairs that the harness would ask for the requests of a batch, but those whose ids are our own.

        What another batch has asked is asked again: it may have been left out.
        """
        self.joint.clear()
        texts = [(self._requests[index].prompt, f" {choice}") for index in indexes for choice in self._texts(index)]
        pairs = iter(self._joint_encoder.pairs(texts))
        for index in indexes:
            self._pairs[index] = [next(pairs) for _ in self._texts(index)]
            ours = zip(self.choices[index], self.scores[index], strict=True)
            self.joint.update(((self.prompts[index].ids, choice), score) for choice, score in ours)
        asked = ((pair.context, pair.continuation) for index in indexes for pair in self._pairs[index])
        return [pair for pair in dict.fromkeys(asked) if pair not in self.joint]

    def _texts(self, index: int) -> tuple[str, ...]:
        return self._requests[index].choices

    def answer(self, index: int) -> Answer:
        """Return the answer to a request that was refused, or that all sums are known of."""
        num_tokens = tuple(len(choice) for choice in self.choices[index])
        pairs = self._pairs.pop(index, [])
        truncated = self.prompts[index].truncated or any(pair.truncated for pair in pairs)
        if index in self.refusals:
            return Answer((), num_tokens, None, self.refusals[index], truncated)
        scores = self.scores[index]
        alone = tuple(self.alone[choice] for choice in self.choices[index]) if "pmi" in self.rules.also else ()
        joint = tuple(self.joint[pair.context, pair.continuation] for pair in pairs)
        if not all(map(math.isfinite, (*scores, *alone, *joint))):
            return Answer((), num_tokens, None, "non-finite score", truncated)
        return Answer(scores, num_tokens, None, None, truncated, alone, joint)


def _refusal(prompt: Encoded, choices: Sequence[Ids], rules: PromptRules) -> str | None:
    if not prompt.ids and prompt.fits:
        return "empty prompt"
    if not choices:
        return "no choices"
    if not all(choices):
        return "empty choice"
    longest = rules.max_total_tokens or rules.max_answer_tokens
    too_long = rules.max_answer_tokens is not None and max(map(len, choices)) > rules.max_answer_tokens
    if too_long or not prompt.fits:
        return f"a choice is longer than the model's {longest} positions"
    return None


def way_of_scoring(model: CausalModel | EncoderDecoderModel) -> str:
    """Return, for people, how a model reads prompts and choices, and why it takes no trees where it does not."""
    if (fault := tree_fault(model)) is None:
        return "token trees"
    worse = getattr(model, "cache_fault", None)
    return f"a cache of each prompt: {fault}" if worse is None else f"whole rows: {worse}"


def score_batches(
    model: CausalModel | EncoderDecoderModel,
    prompts: Sequence[Ids],
    choices: Sequence[Sequence[Ids]],
    members: Iterable[int],
    *,
    pad: int,
    prefix_lm: bool = False,
    batch_tokens: int = 8192,
    processes: Processes = ALONE,
    known: Known = nothing_known,
) -> Iterator[list[tuple[int, tuple[ChoiceScore, ...]]]]:
    """Yield, after each batch, the (index of a request, scores of its choices) that it answered.

    Args:
        model: The model.
        prompts: Ids of the prompt of every request, at least one.
        choices: Ids of the choices of every request, at least one each.
        members: Requests to score, as indexes into both.
        pad: Id of padding.
        prefix_lm: Bidirectional attention over prompts (causal models).
        batch_tokens: Positions computed together.
        processes: Of whose batches this one's are computed.
        known: Answers that are known already; a batch of which all are is left out.
    """
    groups = group_prompts(prompts, choices, members)
    if tree_fault(model) is None:
        assert isinstance(model, ForestReader | PromptForestReader)
        join = model.family == "causal" and not prefix_lm
        read = partial(score_trees, model, pad=pad, prefix_lm=prefix_lm)
        grown = tree_groups([group for group in groups if group.num_positions <= _LARGEST_TREE], join=join)
        for tree_batch in unanswered(processes.own(tree_batches(grown, batch_tokens)), _members_of_trees, known):
            found = in_halves(read, tree_batch, TreeGroup.divided)
            yield _told(_groups_of_trees(tree_batch), found, choices)
        groups = [group for group in groups if group.num_positions > _LARGEST_TREE]
    score = partial(score_cached, model, pad=pad, prefix_lm=prefix_lm, batch_tokens=batch_tokens)
    for batch in unanswered(processes.own(batches(groups, batch_tokens)), members_of, known):
        yield _told(batch, in_halves(score, batch, alone=computes_alone(model)), choices)


def _groups_of_trees(batch: Sequence[TreeGroup]) -> list[PromptGroup]:
    return [group for tree_group in batch for group in tree_group.groups]


def _members_of_trees(batch: Sequence[TreeGroup]) -> list[int]:
    return members_of(_groups_of_trees(batch))


def _told(
    groups: Sequence[PromptGroup], found: Sequence[list[ChoiceScore]], choices: Sequence[Sequence[Ids]]
) -> list[tuple[int, tuple[ChoiceScore, ...]]]:
    """Hand the scores of groups to the requests that are in them."""
    return [
        (member, tuple(scores[group.choices[choice]] for choice in choices[member]))
        for group, scores in zip(groups, found, strict=True)
        for member in group.members
    ]
