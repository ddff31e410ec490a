"""Models that are asked with one prompt: the scores of its choices, and the answer piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from xmtf.errors import ConfigError, ServerError
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompter import Prompter, load_prompter
from xmtf.evaluation.ranking.rank import score_choices
from xmtf.evaluation.served.prompting import ServedPrompts, open_prompts
from xmtf.recipe.sections.served import ServedModel
from xmtf.records import Origin, Request
from xmtf.servers.reference import is_served

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

    def write(self, prompt: str, max_new_tokens: int, show: Callable[[str], None]) -> int | None:
        """Write the most likely answer; ``show`` is given each piece of it.

        Returns:
            Tokens that were written, or None where nobody knows.
        """


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

    def write(self, prompt: str, max_new_tokens: int, show: Callable[[str], None]) -> int | None:
        counted = [0]
        self.prompter.stream(prompt, Decoding(max_new_tokens), show, counted.append)
        return counted[-1]


@dataclass(frozen=True, slots=True)
class _Served:
    """A model behind a server; ``unscored`` says why its choices are not scored, where they are not."""

    prompts: ServedPrompts
    unscored: str

    def scores(self, prompt: str, choices: Sequence[str]) -> Scored:
        if self.unscored:
            raise ConfigError(self.unscored)
        return Scored(self.prompts.scores(prompt, choices))

    def write(self, prompt: str, max_new_tokens: int, show: Callable[[str], None]) -> int | None:
        self.prompts.stream(prompt, Decoding(max_new_tokens), show)
        return None


def open_model(ref: str, tokenizers: Sequence[str], *, offline: bool) -> Tried:
    """Open a model.

    Args:
        ref: Folder, GGUF file, ``package:NAME``, hub id, or ``openai:URL#NAME`` of a model behind a server.
        tokenizers: The first of them is taken for that of a model behind a server, without which its choices cannot be
            scored; where it is not, the server's tokens say so.
        offline: Never touch the network, but for the server.

    Raises:
        UserError: It is nowhere, or cannot be asked.
    """
    if not is_served(ref):
        return _Loaded(load_prompter(ref, offline=offline))
    if not tokenizers:
        return _Served(open_prompts(ref, offline=offline), "choices are scored with the model's --tokenizer")
    try:
        return _Served(open_prompts(ref, ServedModel(tokenizer=tokenizers[0]), offline=offline), "")
    except (ConfigError, ServerError) as error:
        return _Served(open_prompts(ref, offline=offline), f"choices are not scored: {error}")
