"""Of the interface, what is said of models that are tried."""

from __future__ import annotations

from pydantic import Field

from xmtf.studio.interface.browsing import Answered, Draft, Sent

__all__ = [
    "ChoiceScore",
    "ChoiceScores",
    "TextPiece",
    "TryDone",
    "TryEvents",
    "TryFault",
    "TryRequest",
]


class TryRequest(Sent):
    """A row and a template (or a draft of one) to ask a model with."""

    key: str
    task: str | None = None
    split: str | None = None
    row: int = Field(ge=0)
    template: str | None = None
    draft: Draft | None = None
    model: str
    generate: bool = True
    max_new_tokens: int = Field(default=64, ge=1, le=2048)


class ChoiceScore(Answered):
    """How likely a choice is behind the prompt."""

    choice: str
    logprob: float
    """Sum over its tokens."""
    normalised: float | None
    """Per token, where the tokens are known."""


class ChoiceScores(Answered):
    """Event ``choices``: all choices, and the index of the one that is picked."""

    scores: list[ChoiceScore]
    picked: int


class TextPiece(Answered):
    """Event ``text``: the next piece of the answer."""

    piece: str


class TryDone(Answered):
    """Event ``done``: the answer ended."""

    tokens: int | None
    seconds: float


class TryFault(Answered):
    """Event ``error``: what went wrong, as the last event; event ``note``: what is not done."""

    message: str


class TryEvents(Answered):
    """Server-sent events by name, in this order; each event's data has the form that is here."""

    choices: ChoiceScores
    note: TryFault
    """Instead of ``choices``: why they are not scored."""
    text: TextPiece
    done: TryDone
    error: TryFault
