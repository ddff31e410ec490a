"""The keys of a recipe that say how text and conversations become tokens and rows."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter, field_validator, model_validator

from xmtf.languages.codes import normalize_language
from xmtf.recipe.effects import Effect, affects
from xmtf.recipe.quantities import Tokens
from xmtf.recipe.sections.section import (
    Name,
    Section,
    is_all,
    is_auto,
    is_none,
    is_nothing,
    is_skip,
    normalized_patterns,
)
from xmtf.records import Family

if TYPE_CHECKING:
    from xmtf.recipe.schema import Recipe

__all__ = [
    "ChatPolicy",
    "Packing",
    "SpecialTokensPolicy",
    "TokenCaps",
    "Tokenization",
    "TokenizerChoice",
    "uses_chat",
]


def uses_chat(recipe: Recipe) -> bool:
    """Return whether the chat template writes something of what a recipe trains on."""
    chat = recipe.tokens.chat
    named = any(task.kind == "conversation" for task in recipe.own_tasks)
    return chat in ("conversations", "all") or (chat == "auto" and named)


def _if_chat(recipe: Recipe) -> Effect:
    """Conversations that are too long lose exchanges before they are written to token files."""
    return "result" if uses_chat(recipe) else "none"


TOKENIZED = affects(tokens="result")
LEARNT = affects(training="result")
LENGTH = affects(tokens=_if_chat, training="result")
ASKED = affects(tokens="result", evaluation="result")

ChatPolicy = Literal["auto", "conversations", "all", "off"]
SpecialTokensPolicy = Literal["text", "parse"]


class TokenizerChoice(Section):
    """A tokenizer: one to load, or one to train on the mixture."""

    path: Annotated[str | None, affects(tokens="read", evaluation="read")] = None
    """Folder, GGUF file or hub id of a tokenizer; empty takes the model's, or trains one."""
    train_vocab_size: Annotated[int | None, TOKENIZED] = Field(default=None, ge=300)
    """Train a byte-level BPE of this size on the mixture."""
    train_examples: Annotated[int, TOKENIZED] = Field(default=100_000, ge=1)
    """Examples to train it on: a seeded choice, languages weighted by the square root of their size."""


class TokenCaps(Section):
    """The most tokens to train on, by the recipe's tokenizer: inputs, targets and what is at their ends.

    The first pattern that matches counts. Examples are kept in the mixture's order, which is a seeded choice.
    """

    tasks: Annotated[dict[str, Annotated[Tokens, Field(ge=1)]], TOKENIZED] = Field(
        default_factory=dict, exclude_if=is_nothing
    )
    """Pattern of task ids -> most tokens of each such task in each language."""
    languages: Annotated[dict[str, Annotated[Tokens, Field(ge=1)]], TOKENIZED] = Field(
        default_factory=dict, exclude_if=is_nothing
    )
    """Pattern of language codes -> most tokens of each such language, of what the caps of tasks leave."""

    @field_validator("languages")
    @classmethod
    def _codes(cls, value: dict[str, int]) -> dict[str, int]:
        return normalized_patterns(value, "tokens.cap_tokens.languages")

    @model_validator(mode="after")
    def _check(self) -> TokenCaps:
        if not self.tasks and not self.languages:
            raise ValueError("give `tasks` or `languages`")
        return self


class Packing(Section):
    """How token pairs become rows."""

    policy: Annotated[Literal["next_fit", "best_fit", "pad"], LEARNT] = "best_fit"
    """`next_fit` is BLOOMZ's order, `best_fit` fills rows better, `pad` puts one example in a row."""
    sequence_length: Annotated[int, LENGTH] = Field(default=2048, ge=8, le=1 << 24)
    """Tokens of a row: of a causal row, or of the inputs of an encoder-decoder row."""
    target_length: Annotated[int | None, LENGTH] = Field(default=None, ge=4)
    """Tokens of the targets of an encoder-decoder row; default `sequence_length`."""
    overlong: Annotated[Literal["skip", "truncate_left", "truncate_right", "error"], LENGTH] = "skip"
    """Examples that do not fit: skipped and counted, their inputs cut on one side, or an error. Conversations lose
    their oldest exchanges first; one whose last exchange does not fit is left out and counted, or an error."""
    overlong_targets: Annotated[Literal["skip", "truncate"], LEARNT] = Field(default="skip", exclude_if=is_skip)
    """Encoder-decoders: examples whose targets alone are too long are skipped and counted, or their targets lose what
    is beyond `target_length`, the end-of-text token included, as in T5X."""
    window: Annotated[int, LEARNT] = Field(default=4096, ge=1)
    """Examples that `best_fit` looks at together."""


class Tokenization(Section):
    """From text to token files and rows."""

    tokenizer: TokenizerChoice = TokenizerChoice()
    space_before_targets: Annotated[bool | Literal["auto"], ASKED] = "auto"
    """Put one space before targets; `auto` does so for causal models, as BLOOMZ did."""
    end_of_inputs: Annotated[bool | Literal["bos"], ASKED] = False
    """Append the end-of-text token to inputs; `bos` appends the begin-of-text token (a P3 variant of BLOOMZ)."""
    end_of_targets: Annotated[bool, TOKENIZED] = True
    """Append the end-of-text token to targets."""
    begin_of_inputs: Annotated[bool | Literal["auto"], ASKED] = "auto"
    """What is before inputs: `auto` what the tokenizer puts before a text (Gemma's and Llama's begin of text; nothing
    for BLOOM and mT5), `true` the begin-of-text token, `false` nothing."""
    special_tokens: Annotated[SpecialTokensPolicy, ASKED] = "text"
    """What looks like a special token in data and suites (`</s>`, `<|endoftext|>`) is the characters that it is, and
    counted; `parse` takes it for the token, as tokenizers do. Prompts of `xmtf generate` are always parsed."""
    chat: Annotated[ChatPolicy, ASKED] = Field(default="auto", exclude_if=is_auto)
    """What the chat template writes: `conversations` those of the mixture, `all` prompted examples too (the inputs are
    the user's turn, the targets the assistant's), `off` nothing. `auto` is `conversations` where an own task is of that
    kind."""
    chat_template: Annotated[Name | None, affects(tokens="read", evaluation="read")] = Field(
        default=None, exclude_if=is_none
    )
    """Jinja file of the template, relative to the recipe; empty takes the tokenizer's own."""
    chat_turns: Annotated[Literal["all", "last"], TOKENIZED] = Field(default="all", exclude_if=is_all)
    """Which turns of the assistant are learnt. `last` for templates that rewrite earlier turns, as those do that leave
    their reasoning out. Encoder-decoders always learn the last one."""
    chat_arguments: Annotated[dict[str, object], ASKED] = Field(default_factory=dict, exclude_if=is_nothing)
    """Variables of the template (`enable_thinking: false`); `today: 2026-01-31` is the day that it takes for today."""
    system_prompts: Annotated[dict[str, tuple[str, ...]], TOKENIZED] = Field(
        default_factory=dict, exclude_if=is_nothing
    )
    """Language -> system texts, of which each conversation without one gets one, drawn by the seed; `""` is none."""
    cap_tokens: TokenCaps | None = Field(default=None, exclude_if=is_none)
    """The most tokens to train on of a task, and of a language."""
    packing: Packing = Packing()
    weights: Annotated[Literal["size", "equal"] | dict[str, float], LEARNT] = "size"
    """Share of each language among rows: by its tokens, equal, given for each, or `{temperature: T}`: by its tokens to
    the power of 1 / T, so that 1 is by size and larger is flatter."""
    multipliers: Annotated[dict[str, float], LEARNT] = Field(default_factory=dict)
    """Factors on the weight of a language (the original has `code: 1.3`)."""

    @field_validator("chat_arguments")
    @classmethod
    def _plain_values(cls, value: dict[str, object]) -> dict[str, object]:
        days = {name: each.isoformat() for name, each in value.items() if isinstance(each, datetime.date)}
        return dict(TypeAdapter(dict[str, JsonValue]).validate_python(value | days))

    @field_validator("weights")
    @classmethod
    def _one_temperature(cls, value: str | dict[str, float]) -> str | dict[str, float]:
        if isinstance(value, dict) and "temperature" in value:
            if len(value) > 1:
                raise ValueError("give a temperature, or a weight for each language")
            if not 1 <= value["temperature"] < float("inf"):
                raise ValueError(f"the temperature is {value['temperature']}; give a number from 1")
        return value

    @field_validator("system_prompts")
    @classmethod
    def _known_languages(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for language, texts in value.items():
            normalize_language(language, "tokens.system_prompts")
            if not texts:
                raise ValueError(f"{language} has no text; omit the language")
        return value

    @model_validator(mode="after")
    def _check_chat(self) -> Tokenization:
        idle = [
            name
            for name in ("chat_template", "chat_arguments", "system_prompts")
            if self.chat == "off" and getattr(self, name)
        ]
        if idle:
            raise ValueError(f"{idle[0]} has no effect with chat: off; remove one of them")
        return self

    def wants_space(self, family: Family) -> bool:
        """Return whether one space is before the targets of a model of this family."""
        return family == "causal" if self.space_before_targets == "auto" else self.space_before_targets
