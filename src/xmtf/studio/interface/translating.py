"""Of the interface, what is said of translations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from xmtf.studio.interface.browsing import MAX_SOURCE, Answered, Sent

__all__ = [
    "Decided",
    "DecisionRequest",
    "Original",
    "Progress",
    "SuggestRequest",
    "Suggestion",
    "Term",
    "Translation",
    "TranslationEntry",
    "Translations",
    "TranslationsRequest",
]


class TranslationsRequest(Sent):
    """The prompts of a file in one language, alongside their translations into another."""

    key: str
    language: str = Field(max_length=50)
    source: str = Field(default="en", max_length=50)


class Original(Answered):
    """A prompt that is translated."""

    id: str
    name: str
    jinja: str
    answer_choices: str | None
    line: int


class Translation(Answered):
    """What is in the file for it in another language."""

    id: str
    name: str
    jinja: str
    answer_choices: str | None
    engine: str


class TranslationEntry(Answered):
    """A prompt and its translation; ``state`` is None where there is none."""

    id: str
    original: Original
    translation: Translation | None
    state: str | None
    reviewer: str
    problem: str | None


class Progress(Answered):
    """How far a language is: ``done`` counts what a person reviewed."""

    done: int
    total: int
    by_state: dict[str, int]


class Translations(Answered):
    """A file in one language."""

    version: str
    rtl: bool
    entries: list[TranslationEntry]
    progress: Progress


class SuggestRequest(Sent):
    """A prompt that an engine shall translate."""

    key: str
    language: str = Field(max_length=50)
    id: str
    engine: str


class Term(Answered):
    """A term of the glossary that the prompt holds, and whether the suggestion holds its translation."""

    term: str
    translation: str
    kept: bool


class Suggestion(Answered):
    """What an engine made of a prompt; what it could not keep whole is in the original's words."""

    jinja: str
    answer_choices: str | None
    problems: list[str]
    terms: list[Term]


class DecisionRequest(Sent):
    """What a person wrote and decided: ``accept`` is reviewed, ``edit`` is unreviewed."""

    key: str
    version: str
    language: str = Field(max_length=50)
    original: str
    jinja: str = Field(max_length=MAX_SOURCE)
    answer_choices: str | None = Field(default=None, max_length=MAX_SOURCE)
    decision: Literal["accept", "edit", "reject"]
    reviewer: str = Field(default="", max_length=200)
    force: bool = False
    """As in :class:`SaveRequest`."""


class Decided(Answered):
    """The file's version now, and the state of the translation."""

    version: str
    state: str
    id: str
