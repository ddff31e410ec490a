"""Many completions of each problem, drawn in batches; each depends on its own seed alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from xmtf.evaluation.code.problem import Problem
from xmtf.evaluation.code.stops import StopRule, cut_answer, ends_answer, has_ended
from xmtf.evaluation.engine.answer import Known, nothing_known, unanswered
from xmtf.evaluation.engine.encoding import Encoder, PromptRules, TextTokenizer
from xmtf.evaluation.generation.decode_loop import Sampling, decode
from xmtf.evaluation.generation.decoding import WritingRules
from xmtf.files import content_hash

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Draw", "complete", "draw_key"]

_TAIL_TOKENS = 16
_FENCE = "\n```"
"""Ends a program in a chat."""


@dataclass(frozen=True, slots=True)
class Draw:
    """One completion to draw: which problem, which of its samples, how hot."""

    problem: Problem
    sample: int
    temperature: float


def draw_key(draw: Draw) -> str:
    """Return a hash of what is drawn."""
    return content_hash([draw.problem.prompt, draw.sample, draw.temperature])[:24]


def complete(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    draws: Sequence[Draw],
    *,
    rules: PromptRules,
    seed: int,
    max_new_tokens: int = 256,
    top_p: float = 0.95,
    batch_rows: int = 32,
    prepend_eos: bool = False,
    stops: StopRule = "complete",
    known: Known = nothing_known,
) -> Iterator[list[tuple[int, str]]]:
    """Yield, after each batch, the (index of a draw, its completion) that it made.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        draws: Of one temperature, in any order; temperature 0 is greedy.
        rules: How prompts become ids.
        seed: Of the run; a draw's numbers come from it, its problem, its sample and its temperature.
        max_new_tokens: Most tokens of a completion.
        top_p: Share of the probability that is drawn from.
        batch_rows: Completions at a time; a prompt is read once for all of its own in a batch.
        stops: Where a completion ends.
        prepend_eos: Put the end-of-text token before the prompt (keeps a pretrained model in its scope).
        known: Completions that are known already; a batch of which all are is left out.
    """
    encoder = Encoder(tokenizer, rules)
    encoder.require_room(max_new_tokens + prepend_eos)
    places = [range(start, min(start + batch_rows, len(draws))) for start in range(0, len(draws), batch_rows)]
    for chosen in unanswered(places, list, known):
        batch = [draws[place] for place in chosen]
        problems = list(dict.fromkeys(draw.problem for draw in batch))
        before = (tokenizer.eos,) if prepend_eos and rules.begin_of_inputs[:1] != (tokenizer.eos,) else ()
        begun = _begun(tokenizer, rules, problems)
        rooms = [max_new_tokens + len(before) + len(ids) for ids in begun]
        encoded = encoder.prompts([problem.prompt for problem in problems], rooms)
        sampling = None
        if batch[0].temperature > 0:
            numbers = np.stack([_numbers(seed, draw, max_new_tokens) for draw in batch])
            sampling = Sampling(batch[0].temperature, top_p, numbers)
        found = decode(
            model,
            [before + prompt.ids + ids for prompt, ids in zip(encoded, begun, strict=True)],
            [problems.index(draw.problem) for draw in batch],
            WritingRules(
                ends=tuple(tokenizer.ends),
                pad=tokenizer.pad,
                num_ids=tokenizer.vocab_size,
                max_new_tokens=max_new_tokens,
                prefix_lm=rules.prefix_lm,
            ),
            sampling=sampling,
            stop=partial(_has_stopped, tokenizer, [draw.problem for draw in batch], stops),
        )
        texts = [tokenizer.decode(list(continuation.ids)) for continuation in found]
        if rules.chat is not None:
            texts = [text.partition(_FENCE)[0] for text in texts]
        yield [
            (place, cut_answer(draw.problem, text, stops))
            for place, draw, text in zip(chosen, batch, texts, strict=True)
        ]


def _begun(tokenizer: TextTokenizer, rules: PromptRules, problems: Sequence[Problem]) -> list[tuple[int, ...]]:
    """Return the ids with which the answer to each problem begins: in a chat, a fence and the prompt once more.

    So what follows continues with the program, as it does where the prompt is asked without it.
    """
    if rules.chat is None:
        return [()] * len(problems)
    texts = [f"```{problem.language}\n{problem.prompt}" for problem in problems]
    return [tuple(ids.tolist()) for ids in tokenizer.encode(texts)]


def _numbers(seed: int, draw: Draw, length: int) -> np.ndarray:
    key = content_hash([seed, draw.problem.name, draw.sample, draw.temperature])
    return np.random.default_rng(int(key[:16], 16)).random(length)


def _has_stopped(
    tokenizer: TextTokenizer, problems: Sequence[Problem], rule: StopRule, row: int, ids: Sequence[int]
) -> bool:
    """Return whether the answer of a row is whole; its text is read only where the last tokens may have ended it."""
    tail = tokenizer.decode(list(ids[-_TAIL_TOKENS:]))
    return ends_answer(problems[row], tail, rule) and has_ended(problems[row], tokenizer.decode(list(ids)), rule)
