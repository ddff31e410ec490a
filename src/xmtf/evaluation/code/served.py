"""Completions of problems by a model behind a server, or in vllm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xmtf.errors import ConfigError, ServerError
from xmtf.evaluation.code.sample import Draw
from xmtf.evaluation.code.settings import CodeSettings
from xmtf.evaluation.code.stops import cut_answer
from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.served.backend import Asked
from xmtf.evaluation.served.subject import ServedSubject
from xmtf.evaluation.suites.setup import Setup
from xmtf.execution import say
from xmtf.files import content_hash

__all__ = ["complete_served", "plainly"]


def plainly(setup: Setup, settings: CodeSettings) -> Setup:
    """Return how programs are asked of a server, which is by completions.

    Raises:
        ConfigError: Conversations, or an end-of-text token before prompts.
    """
    if setup.settings.chat == "on":
        raise ConfigError("--chat on: programs are completed, not answered in conversations; remove it")
    if settings.prepend_eos:
        raise ConfigError("--prepend-eos: prompts are sent to servers as text; remove it")
    if setup.settings.chat == "auto":
        say("  programs are requested as completions")
    return replace(setup, settings=setup.settings.model_copy(update={"chat": "off"}))


def complete_served(
    subject: ServedSubject, draws: Sequence[Draw], settings: CodeSettings, seed: int, known: Known
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield (index of a draw, its completion), one at a time as they come; those that are known are not asked.

    Raises:
        ServerError: The server does not answer, or refuses a problem.
    """
    places = [place for place in range(len(draws)) if known(place) is None]
    asked = [Asked(draws[place].problem.prompt, _decoding(draws[place], settings, seed)) for place in places]
    for index, answer in subject.write(asked):
        draw = draws[places[index]]
        if answer.text is None:
            raise ServerError(f"{subject.reference.text}: problem {draw.problem.name}: {answer.error}")
        text = cut_answer(draw.problem, answer.text, settings.stops)
        yield [(places[index], Answer(text=text, ending=answer.ending, usage=answer.usage))]


def _decoding(draw: Draw, settings: CodeSettings, seed: int) -> Decoding:
    key = content_hash([seed, draw.problem.name, draw.sample, draw.temperature])
    return Decoding(
        max_new_tokens=settings.max_new_tokens,
        temperature=draw.temperature,
        top_p=settings.top_p,
        seed=int(key[:7], 16),
    )
