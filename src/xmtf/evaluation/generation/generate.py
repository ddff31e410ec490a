"""Generation: prompts in batches, one new token a step, keys and values kept.

An answer ends at the end-of-text token, at a stop string, or after ``max_new_tokens``; answers that have
ended are taken out of the batch as soon as a quarter of it has, and where a model reads rows without padding
(:mod:`xmtf.models.layers.ragged`), the next prompts take their place. Equal prompts are generated once, and what
prompts begin with alike is read once there. What is drawn for a prompt depends on the seed and the prompt alone,
never on the batch that it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xmtf.evaluation.engine.answer import Answer, Known, in_order, nothing_known, unanswered
from xmtf.evaluation.engine.batches import Ids, PromptGroup, alike_together, batches, group_prompts, members_of
from xmtf.evaluation.engine.encoding import Encoder, PromptRules, TextTokenizer, prompt_rules
from xmtf.evaluation.engine.forward import computes_alone, in_halves
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.generation.beams import search_beams
from xmtf.evaluation.generation.decode_loop import Sampling, decode
from xmtf.evaluation.generation.decoding import Continuation, Decoding, Ending, WritingRules
from xmtf.files import content_hash
from xmtf.models.layers.ragged import MIN_SHARED, ragged_reader
from xmtf.records import Prediction, Request

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Written", "continue_prompts", "cut_at_stops", "generate", "generation_batches"]

_REFILLS = 4
"""Where others take the place of answers that have ended, a batch has so many times the positions held at once."""


class Written(NamedTuple):
    """What was written after one of several prompts.

    Attributes:
        place: Which of the prompts.
        text: What is before the first stop text, or None where there is an error.
        error: Why there is no text, or None.
        ending: Why it ended, or None where there is an error.
    """

    place: int
    text: str | None
    error: str | None
    ending: Ending | None


def generate(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    max_new_tokens: int = 64,
    decoding: Decoding | None = None,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
) -> list[Prediction]:
    """Generate after the prompt of every request.

    Args:
        model: A module with one of the two protocols.
        tokenizer: Its tokenizer.
        requests: In any order; the answers come in the same order.
        max_new_tokens: Most tokens of an answer, where ``decoding`` is not given.
        decoding: How answers are made; greedy by default.
        rules: How prompts become ids; default BLOOMZ's for a causal model, mT0's otherwise.
        batch_tokens: Positions of prompts and answers held together.

    Returns:
        Predictions with ``text``, stripped of white space at both ends.
    """
    decoding = decoding or Decoding(max_new_tokens=max_new_tokens)
    found = generation_batches(model, tokenizer, requests, decoding=decoding, rules=rules, batch_tokens=batch_tokens)
    return [Prediction(text=answer.text, error=answer.error, truncated=answer.truncated) for answer in in_order(found)]


def generation_batches(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    decoding: Decoding,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
    processes: Processes = ALONE,
    known: Known = nothing_known,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its answer) that it made.

    Arguments as :func:`generate`; with several ``processes``, the batches of this one. A batch of which all answers are
    ``known`` is left out.
    """
    encoder = Encoder(tokenizer, rules or prompt_rules(model, tokenizer))
    encoder.require_room(decoding.max_new_tokens)
    room = [decoding.max_new_tokens] * len(requests)
    prompts = encoder.prompts([request.prompt for request in requests], room)
    empty = [index for index, prompt in enumerate(prompts) if not prompt.ids]
    for batch_of_empty in unanswered([empty], list, known):
        yield [(index, Answer(error="empty prompt")) for index in batch_of_empty]
    found = continue_prompts(
        model,
        tokenizer,
        [prompt.ids for prompt in prompts],
        decoding,
        prefix_lm=encoder.rules.prefix_lm,
        batch_tokens=batch_tokens,
        processes=processes,
        known=known,
    )
    for batch in found:
        yield [
            (
                written.place,
                Answer(
                    text=written.text and written.text.strip(),
                    error=written.error,
                    truncated=prompts[written.place].truncated,
                    ending=written.ending,
                ),
            )
            for written in batch
        ]


def continue_prompts(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    prompts: Sequence[Ids],
    decoding: Decoding,
    *,
    prefix_lm: bool = False,
    batch_tokens: int = 8192,
    watch: Callable[[list[int]], None] = lambda ids: None,
    processes: Processes = ALONE,
    known: Known = nothing_known,
) -> Iterator[list[Written]]:
    """Yield, after each batch, what was written; empty prompts, and batches that are ``known``, are left out.

    ``watch`` is called with the ids of an answer after each token of it, but for beam search.
    """
    groups = group_prompts(prompts, (), [index for index, prompt in enumerate(prompts) if prompt])
    work = partial(_continue, model, tokenizer, decoding, prefix_lm, watch, batch_tokens)
    for batch in unanswered(processes.own(_formed(model, groups, decoding, batch_tokens)), members_of, known):
        found = in_halves(work, [group.prompt for group in batch], alone=computes_alone(model))
        texts = [
            cut_at_stops(tokenizer.decode(list(row.ids)), decoding.stops) if row.error is None else None
            for row in found
        ]
        yield [
            Written(member, text, row.error, row.ending if row.error is None else None)
            for group, row, text in zip(batch, found, texts, strict=True)
            for member in group.members
        ]


def _formed(
    model: CausalModel | EncoderDecoderModel, groups: Sequence[PromptGroup], decoding: Decoding, batch_tokens: int
) -> Iterator[list[PromptGroup]]:
    """Yield the prompts of each batch, of which all are held at once, or those that begin it."""
    held = decoding.max_new_tokens
    if ragged_reader(model) is None:
        return batches(groups, max(1, batch_tokens // decoding.beams), answer_tokens=held)
    groups = alike_together(groups, MIN_SHARED)
    most = batch_tokens * _REFILLS if decoding.beams == 1 else max(1, batch_tokens // decoding.beams)
    return batches(groups, most, answer_tokens=held)


def _continue(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    decoding: Decoding,
    prefix_lm: bool,
    watch: Callable[[list[int]], None],
    batch_tokens: int,
    prompts: Sequence[Ids],
) -> list[Continuation]:
    rules = WritingRules(
        ends=tuple(tokenizer.ends),
        pad=tokenizer.pad,
        num_ids=tokenizer.vocab_size,
        max_new_tokens=decoding.max_new_tokens,
        min_new_tokens=decoding.min_new_tokens,
        prefix_lm=prefix_lm,
    )
    has_stopped = stop_at(tokenizer, decoding.stops)
    if decoding.beams > 1:
        penalty = decoding.length_penalty
        return search_beams(model, prompts, rules, beams=decoding.beams, length_penalty=penalty, stop=has_stopped)
    sampling = None
    if decoding.temperature > 0:
        seeds = [int(content_hash([decoding.seed, list(prompt)])[:16], 16) for prompt in prompts]
        draws = np.stack([np.random.default_rng(seed).random(decoding.max_new_tokens) for seed in seeds])
        sampling = Sampling(decoding.temperature, decoding.top_p, draws, decoding.top_k)

    def after_token(_: int, ids: list[int]) -> bool:
        watch(ids)
        return has_stopped(ids)

    most_rows = max(1, batch_tokens // (max(map(len, prompts)) + decoding.max_new_tokens))
    answers = range(len(prompts))
    return decode(model, prompts, answers, rules, sampling=sampling, stop=after_token, most_rows=most_rows)


def stop_at(tokenizer: TextTokenizer, stops: Sequence[str]) -> Callable[[list[int]], bool]:
    """Return what tells whether the text of ids holds a stop; only the tail that could just have made one is read."""
    longest = max((len(stop.encode()) for stop in stops), default=0)

    def has_stopped(ids: list[int]) -> bool:
        tail = tokenizer.decode(ids[-(longest + 4) :])
        return any(stop in tail for stop in stops)

    return has_stopped if stops else lambda ids: False


def cut_at_stops(text: str, stops: Sequence[str]) -> str:
    """Return the text before the first stop that is in it."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
