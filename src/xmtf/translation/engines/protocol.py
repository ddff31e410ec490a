"""What an engine is: texts in one language in, as many texts in another out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from xmtf.templates.languages.segments import Role
from xmtf.translation.marks import StyleName

__all__ = ["Brief", "Briefed", "Engine"]


class Engine(Protocol):
    """A translator.

    Attributes:
        name: As ``--engine`` gives it.
        version: Of the program, model or service.
        styles: Styles of marks that it is known to keep, the best first; all texts are written in one of them.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def styles(self) -> tuple[StyleName, ...]: ...  # noqa: D102

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Return a translation of each text, in their order.

        Args:
            texts: One line each.
            source: Code of their language.
            target: Code of the language to translate into.

        Raises:
            TranslationError: It cannot answer, or does not know the languages.
        """


@dataclass(frozen=True, slots=True)
class Brief:
    """What an engine may be told alongside the texts.

    Attributes:
        role: What the texts are in a template.
        task: What the template's dataset is about, such as its cluster.
        glossary: Source term -> its translation.
    """

    role: Role
    task: str = ""
    glossary: Mapping[str, str] = field(default_factory=dict, hash=False)


@runtime_checkable
class Briefed(Protocol):
    """An engine that reads briefs."""

    def briefed(self, brief: Brief) -> Engine:
        """Return the engine that has been told."""

    @property
    def prompt(self) -> str:
        """Hash of the words in which it is told."""
