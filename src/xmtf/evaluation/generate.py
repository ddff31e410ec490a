"""Greedy generation: prompts in left-padded batches, one new token a step, keys and values kept.

A row stops at the end-of-text token or after ``max_new_tokens``; rows that stopped are taken out of
the batch as soon as half of it has stopped. Equal prompts are generated once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from xmtf.evaluation.answer import Answer
from xmtf.evaluation.batches import batches, group_prompts
from xmtf.evaluation.encoding import Encoder, PromptRules, TextTokenizer
from xmtf.records import Prediction, Request

if TYPE_CHECKING:
    from xmtf.models.interface import CausalModel, EncoderDecoderModel

__all__ = ["Continuation", "generate", "generation_batches"]


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a model wrote after one prompt.

    Attributes:
        ids: New tokens, without the end-of-text token.
        ended: Whether it ended by itself.
        error: Why it could not go on, or None.
    """

    ids: tuple[int, ...]
    ended: bool
    error: str | None = None


def generate(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    max_new_tokens: int = 64,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
) -> list[Prediction]:
    """Generate greedily after the prompt of every request.

    Args:
        model: A module with one of the two protocols.
        tokenizer: Its tokenizer.
        requests: In any order; the answers come in the same order.
        max_new_tokens: Most tokens of an answer.
        rules: How prompts become ids; default BLOOMZ's for a causal model, mT0's otherwise.
        batch_tokens: Positions of prompts and answers held together.

    Returns:
        Predictions with ``text``, stripped of white space at both ends.
    """
    options = {"max_new_tokens": max_new_tokens, "batch_tokens": batch_tokens}
    found = chain.from_iterable(generation_batches(model, tokenizer, requests, rules=rules, **options))
    return [
        Prediction(text=answer.text, error=answer.error, truncated=answer.truncated)
        for _, answer in sorted(found, key=lambda pair: pair[0])
    ]


def generation_batches(
    model: CausalModel | EncoderDecoderModel,
    tokenizer: TextTokenizer,
    requests: Sequence[Request],
    *,
    max_new_tokens: int = 64,
    rules: PromptRules | None = None,
    batch_tokens: int = 8192,
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its answer) that it made; arguments as :func:`generate`."""
    from xmtf.evaluation.decoding import decode_greedily
    from xmtf.evaluation.forward import in_halves

    encoder = Encoder(tokenizer, rules or PromptRules(space_before_targets=model.family == "causal"))
    prompts = encoder.prompts([request.prompt for request in requests], [max_new_tokens] * len(requests))
    yield [(index, Answer(error="empty prompt")) for index, prompt in enumerate(prompts) if not prompt.ids]
    askable = [index for index, prompt in enumerate(prompts) if prompt.ids]
    groups = group_prompts([prompt.ids for prompt in prompts], (), askable)
    continued = partial(
        decode_greedily,
        model,
        eos=tokenizer.eos,
        pad=tokenizer.pad,
        num_ids=tokenizer.vocab_size,
        max_new_tokens=max_new_tokens,
        prefix_lm=encoder.rules.prefix_lm,
    )
    for batch in batches(groups, batch_tokens, answer_tokens=max_new_tokens):
        found = in_halves(continued, [group.prompt for group in batch])
        texts = [tokenizer.decode(list(row.ids)).strip() if row.error is None else None for row in found]
        yield [
            (member, Answer(text=text, error=continuation.error, truncated=prompts[member].truncated))
            for group, continuation, text in zip(batch, found, texts, strict=True)
            for member in group.members
        ]
