"""What an evaluation asks of a model that it has not loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.batches import Ids
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.ranking.passes import ChoiceScore
from xmtf.json_types import JsonObject
from xmtf.servers.spending import Usage

__all__ = ["Asked", "Backend", "Choices"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One prompt to be answered in words."""

    prompt: str
    decoding: Decoding


@dataclass(frozen=True, slots=True)
class Choices:
    """One prompt and the choices that are scored behind it, as ids."""

    context: Ids
    choices: Sequence[Ids]


class Backend(Protocol):
    """A model behind a server, or in another package."""

    @property
    def in_chat(self) -> bool:
        """Whether prompts become the user's turn of a conversation."""

    @property
    def ranking(self) -> str | None:
        """How choices are scored, in a few words; None where they are not."""

    def write(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        """Yield (index of a prompt, its answer), as they come, with the white space at their ends.

        Raises:
            ServerError: The model cannot be asked, or a limit is reached; answers that were there have been yielded.
        """

    def stream(self, asked: Asked, show: Callable[[str], None]) -> Answer:
        """Return the answer to one prompt; ``show`` is given the text so far, again and again."""

    def score(self, asked: Sequence[Choices]) -> Iterator[tuple[int, tuple[ChoiceScore, ...]]]:
        """Yield (index of a prompt, the scores of its choices), as they come.

        Raises:
            ServerError: As of :meth:`write`; or what comes back does not match the tokens one for one.
        """

    def take_usage(self) -> Usage:
        """Return what was spent since this was last called."""

    def resume(self, before: tuple[int, ...]) -> None:
        """Count what earlier commands have spent on the same work."""

    def about(self, usage: tuple[int, ...]) -> JsonObject:
        """Return what results say of it.

        Args:
            usage: Requests, tokens read and tokens written, of all the work.
        """
