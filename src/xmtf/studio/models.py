"""Models that are asked with one prompt: the scores of its choices, and the answer piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from xmtf.errors import ConfigError
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompter import Prompter, load_prompter
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.records import Origin, Request

__all__ = ["Scored", "Tried", "open_model"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of the choices of a prompt.

    Attributes:
        sums: Log-probability of each.
        num_tokens: Tokens of each, or empty where nobody tells.
    """

    sums: tuple[float, ...]
    num_tokens: tuple[int, ...] = ()


class Tried(Protocol):
    """A model to try prompts with, wherever it is."""

    def scores(self, prompt: str, choices: Sequence[str]) -> Scored:
        """Return how likely each choice is behind a prompt, as an evaluation scores it.

        Raises:
            ConfigError: It cannot be scored.
        """

    def write(self, prompt: str, max_new_tokens: int, show: Callable[[str], None]) -> str:
        """Return the most likely answer; ``show`` is given each new piece of it."""

    def count(self, text: str) -> int | None:
        """Return the tokens of a text, or None where nobody knows."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model in this process: a folder, a GGUF file, a hub id."""

    prompter: Prompter

    def scores(self, prompt: str, choices: Sequence[str]) -> Scored:
        request = Request(prompt, tuple(choices), None, (), Origin("", "", "", 0))
        prompter = self.prompter
        (found,) = score_choices(prompter.model, prompter.tokenizer, [request], rules=prompter.rules)
        if found.error is not None:
            raise ConfigError(f"the choices cannot be scored: {found.error}")
        return Scored(found.scores, found.num_tokens)

    def write(self, prompt: str, max_new_tokens: int, show: Callable[[str], None]) -> str:
        return self.prompter.stream(prompt, Decoding(max_new_tokens), show)

    def count(self, text: str) -> int | None:
        return len(self.prompter.tokenizer.encode([text])[0])


def open_model(ref: str, *, offline: bool) -> Tried:
    """Open a model.

    Args:
        ref: Folder, GGUF file, ``package:NAME`` or hub id.
        offline: Never touch the network.

    Raises:
        UserError: It is nowhere, or cannot be asked.
    """
    return _Loaded(load_prompter(ref, offline=offline))
