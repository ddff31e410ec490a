"""What a model answered to one request, ranked or generated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

__all__ = ["Answer", "Known", "in_order", "nothing_known", "unanswered"]

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one pass tells of one request.

    Attributes:
        scores: Sum of log-probabilities of each choice, natural log; empty for generation and errors.
        num_tokens: Scored tokens of each choice.
        text: Generated text, or None.
        error: Why there is no answer, or None.
        truncated: Whether the prompt was cut.
        unconditional: Sums of the choices after an empty prompt, or empty where nobody asked for them.
        joint: Sums by the rules of lm-evaluation-harness, or empty.
        ending: Why a text ended: ``end of text``, ``stop text`` or ``budget``; None where that is not known.
        usage: Of a model behind a server: requests that were answered, tokens read and written since the answer before.
    """

    scores: tuple[float, ...] = ()
    num_tokens: tuple[int, ...] = ()
    text: str | None = None
    error: str | None = None
    truncated: bool = False
    unconditional: tuple[float, ...] = ()
    joint: tuple[float, ...] = ()
    ending: str | None = None
    usage: tuple[int, ...] = ()


def in_order(batches: Iterable[Iterable[tuple[int, Answer]]]) -> list[Answer]:
    """Return the answers of batches of (index of a request, its answer), in order of the requests."""
    return [answer for _, answer in sorted(chain.from_iterable(batches), key=lambda pair: pair[0])]


Known = Callable[[int], Answer | None]
"""Returns the answer to a request that is known already, by its index."""


def nothing_known(index: int) -> None:
    """Know no answer."""


def unanswered(batches: Iterable[Batch], members: Callable[[Batch], Sequence[int]], known: Known) -> Iterator[Batch]:
    """Yield the batches of which an answer is not known: those are asked whole, so that they compute the same bits."""
    return (batch for batch in batches if any(known(member) is None for member in members(batch)))
