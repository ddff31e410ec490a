"""Prompts and choices as token ids, by the same rules as in training.

Prompt and choice are tokenised separately and joined as ids, never as one text, so what is scored does not depend on
how a tokeniser merges across the boundary. With a space before targets (causal models, as BLOOMZ) ::

    prompt  "Is it so?"   ->  [417, 33, 9, 12]
    choice  " Yes"        ->  [870]                 the space belongs to the choice

and for an encoder-decoder no space, but the end-of-text token is scored: ``"Yes" -> [870, 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from xmtf.errors import ConfigError
from xmtf.evaluation.engine.chat import ChatForm, cut_to_fit, format_of
from xmtf.json_types import JsonObject
from xmtf.recipe.schema import SpecialTokensPolicy, Tokenization
from xmtf.records import Family
from xmtf.tokens.tokenizer.chat import ChatFormat
from xmtf.tokens.tokenizer.ends import begin_of_inputs
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Encoded", "Encoder", "PromptRules", "Shape", "TextTokenizer", "prompt_rules"]

_DEFAULT_MAX_TOKENS = 2048


class TextTokenizer(Protocol):
    """What evaluation asks of a tokenizer; :class:`xmtf.tokens.Tokenizer` has it."""

    @property
    def vocab_size(self) -> int:
        """Number of ids."""

    @property
    def pad(self) -> int:
        """Id of padding."""

    @property
    def eos(self) -> int:
        """Id that ends a text."""

    @property
    def bos(self) -> int | None:
        """Id that begins a text, or None."""

    @property
    def ends(self) -> tuple[int, ...]:
        """Ids that end an answer: ``eos``, and others that the model's generation configuration names."""

    @property
    def begin(self) -> tuple[int, ...]:
        """Ids that it would put before its own text accord."""

    @property
    def puts_space(self) -> bool:
        """Whether it puts a space before a text even where one already exists."""

    @property
    def special_ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that it would put before and after its own text accord (BERT's, T5's and Llama's do)."""

    @property
    def fingerprint(self) -> str:
        """Hash of what it does."""

    def encode(self, texts: list[str]) -> list[np.ndarray]:
        """Return the ids of each text, without special tokens."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without special tokens."""


class Shape(Protocol):
    """What in a model decides how texts become ids, for models that are loaded and for those that are served."""

    @property
    def family(self) -> Family:
        """``causal`` or ``encoder-decoder``."""

    @property
    def max_positions(self) -> int | None:
        """Longest row that it reads, or None."""


@dataclass(frozen=True, slots=True)
class PromptRules:
    """How a request becomes token ids.

    Attributes:
        space_before_targets: One space before each choice.
        begin_of_inputs: Ids before the prompt, where its text does not bring them along.
        end_of_inputs: End-of-text token after the prompt; ``bos``: the begin-of-text token.
        end_of_choices: End-of-text token after each choice, scored.
        max_prompt_tokens: Longer prompts are cut.
        max_total_tokens: Most tokens of prompt and answer together, or None.
        max_answer_tokens: Most tokens of an answer alone, or None.
        truncation_side: The side that overlong prompts lose.
        prefix_lm: Bidirectional attention over the prompt (causal models trained so).
        also: Sums that are computed alongside BLOOMZ's: ``pmi`` and ``lm_eval``.
        special_tokens: How the tokenizer reads what looks like its special tokens.
        chat: The chat format that prompts are written in, or None. Choices then stand without an end of text.
    """

    space_before_targets: bool = True
    begin_of_inputs: tuple[int, ...] = ()
    end_of_inputs: bool | Literal["bos"] = False
    end_of_choices: bool = False
    max_prompt_tokens: int = _DEFAULT_MAX_TOKENS
    max_total_tokens: int | None = None
    max_answer_tokens: int | None = None
    truncation_side: Literal["left", "right"] = "left"
    prefix_lm: bool = False
    also: tuple[str, ...] = ()
    special_tokens: SpecialTokensPolicy = "text"
    chat: ChatForm | None = None

    def to_json(self) -> JsonObject:
        """Return plain values; those of rules without a chat format are what they were before there was one."""
        values = asdict(self)
        return values if self.chat is not None else {name: each for name, each in values.items() if name != "chat"}


def prompt_rules(
    model: Shape,
    tokenizer: TextTokenizer,
    tokens: Tokenization | None = None,
    *,
    max_prompt_tokens: int | None = None,
    truncation_side: Literal["left", "right"] = "left",
    prefix_lm: bool = False,
    also: tuple[str, ...] = (),
    chat: ChatForm | None = None,
) -> PromptRules:
    """Return the rules for a model, from the recipe's section on tokens; by default BLOOMZ's and mT0's.

    What is before a prompt is what its tokenizer puts there, unless the section changes this. The end-of-text token is
    scored for encoder-decoder models only.

    Raises:
        ConfigError: A begin-of-text token is wanted that the tokenizer does not have.
    """
    tokens, causal = tokens or Tokenization(), model.family == "causal"
    positions = model.max_positions
    most = max_prompt_tokens or positions or _DEFAULT_MAX_TOKENS
    plain = chat is None
    begin = begin_of_inputs(tokens, tokenizer) if plain or tokens.begin_of_inputs != "auto" else ()
    return PromptRules(
        space_before_targets=plain and tokens.wants_space(model.family) and not tokenizer.puts_space,
        begin_of_inputs=begin,
        end_of_inputs=plain and tokens.end_of_inputs,
        end_of_choices=plain and not causal,
        max_prompt_tokens=most if positions is None else min(most, positions),
        max_total_tokens=positions if causal else None,
        max_answer_tokens=None if causal else positions,
        truncation_side=truncation_side,
        prefix_lm=prefix_lm and causal,
        also=also,
        special_tokens=tokens.special_tokens,
        chat=chat,
    )


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a prompt, and whether it was cut.

    Attributes:
        ids: What the model reads; empty where the text has no tokens, or where nothing of it fits.
        truncated: Whether part of the text is left out.
        fits: Whether at least one token of a text fits besides the answer.
    """

    ids: tuple[int, ...]
    truncated: bool
    fits: bool = True


class Encoder:
    """Turns texts into ids; each different text is tokenised once.

    Args:
        tokenizer: The model's tokenizer.
        rules: How.

    Raises:
        ConfigError: The rules ask for a begin-of-text token that the tokenizer lacks.
    """

    def __init__(self, tokenizer: TextTokenizer, rules: PromptRules) -> None:
        if tokenizer.bos is None and rules.end_of_inputs == "bos":
            raise ConfigError("tokens.end_of_inputs: the tokenizer has no begin-of-text token; set it to false")
        if rules.max_prompt_tokens <= (around := len(rules.begin_of_inputs) + bool(rules.end_of_inputs)):
            raise ConfigError(
                f"evaluation.max_prompt_tokens: {rules.max_prompt_tokens} leaves no room for a text besides {around} "
                f"tokens at its ends; raise it"
            )
        self.tokenizer = tokenizer
        self.rules = rules
        self._format: ChatFormat | None = None
        if rules.chat is not None:
            assert isinstance(tokenizer, Tokenizer), "only xmtf's tokenizers support chat templates"
            self._format = format_of(rules.chat, tokenizer, rules.begin_of_inputs)

    def require_room(self, budget: int) -> None:
        """Refuse answers that leave no room for a prompt.

        Raises:
            ConfigError: ``budget`` tokens of an answer are as many as the model has positions, or more.
        """
        rules = self.rules
        around = len(rules.begin_of_inputs) + bool(rules.end_of_inputs)
        if rules.max_total_tokens is not None and budget + around >= rules.max_total_tokens:
            beside = f" and {around} at the ends of a prompt" if around else ""
            raise ConfigError(
                f"max_new_tokens: {budget} tokens of an answer{beside} leave no room for a prompt in the model's "
                f"{rules.max_total_tokens} positions; lower it"
            )
        if rules.max_answer_tokens is not None and budget > rules.max_answer_tokens:
            raise ConfigError(
                f"max_new_tokens: {budget} tokens of an answer do not fit the {rules.max_answer_tokens} positions of "
                "the model's decoder; lower it"
            )

    def prompts(self, texts: Sequence[str], room: Sequence[int]) -> list[Encoded]:
        """Return the ids of each prompt, cut so that ``room`` tokens of answer fit behind it."""
        unique = list(dict.fromkeys(texts))
        if self._format is not None:
            places = dict.fromkeys(zip(texts, map(self._most, room), strict=True))
            known = {place: self._in_chat(self._format, *place) for place in places}
            return [known[text, self._most(after)] for text, after in zip(texts, room, strict=True)]
        ids = dict(zip(unique, self.tokenizer.encode(unique), strict=True))
        return [self._cut(ids[text].tolist(), after) for text, after in zip(texts, room, strict=True)]

    def _in_chat(self, format_: ChatFormat, text: str, most: int) -> Encoded:
        ids, truncated, fits = cut_to_fit(format_, text, most, self.rules.truncation_side)
        return Encoded(ids, truncated=truncated, fits=fits)

    def _most(self, room: int) -> int:
        """Return how many ids a prompt may have before ``room`` tokens of an answer."""
        most = self.rules.max_prompt_tokens
        return most if self.rules.max_total_tokens is None else min(most, self.rules.max_total_tokens - room)

    def choices(self, texts: Sequence[Sequence[str]]) -> list[tuple[tuple[int, ...], ...]]:
        """Return the ids of every choice of every request, with its space and end-of-text token."""
        unique = list(dict.fromkeys(choice for row in texts for choice in row))
        space = " " if self.rules.space_before_targets else ""
        end = (self.tokenizer.eos,) if self.rules.end_of_choices else ()
        ids = {
            text: (*found.tolist(), *end)
            for text, found in zip(unique, self.tokenizer.encode([space + text for text in unique]), strict=True)
        }
        return [tuple(ids[choice] for choice in row) for row in texts]

    def _end_of_prompt(self) -> int:
        if self.rules.end_of_inputs == "bos":
            assert self.tokenizer.bos is not None
            return self.tokenizer.bos
        return self.tokenizer.eos

    def _cut(self, ids: list[int], room: int) -> Encoded:
        rules = self.rules
        before = rules.begin_of_inputs
        if before and tuple(ids[: len(before)]) == before:
            ids = ids[len(before) :]  # the text brings them along
        after = [self._end_of_prompt()] if rules.end_of_inputs else []
        most = self._most(room) - len(before) - len(after)
        if most < 1:
            return Encoded((), truncated=True, fits=False)
        kept = ids[-most:] if rules.truncation_side == "left" else ids[:most]
        return Encoded((*before, *kept, *after), truncated=len(kept) < len(ids))
