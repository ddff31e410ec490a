"""A glossary: terms of a language with their translations, which hold over all templates.

A YAML file, language by language::

    fr:
      premise: prémisse
      "Yes": oui

A text that is a term, but for case and what ends it (``Premise:``), is never sent to an engine. Longer texts that hold
a term are translated by the engine, which is told the glossary where it can be; a check counts where it did not follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from xmtf.errors import ConfigError
from xmtf.files import content_hash
from xmtf.languages.codes import normalize_language
from xmtf.templates.languages.segments import Part
from xmtf.text.files import NotUtf8Error, read_text_file

__all__ = ["NO_GLOSSARY", "Glossary", "read_glossary"]

_ENDS = ".:?!"


@dataclass(frozen=True, slots=True)
class Glossary:
    """Terms of one language.

    Attributes:
        terms: Source term -> translation.
    """

    terms: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def hash(self) -> str:
        """Changes with the terms; ``""`` without any."""
        return content_hash(dict(self.terms))[:16] if self.terms else ""

    def look_up(self, parts: tuple[Part, ...]) -> tuple[Part, ...] | None:
        """Return the translation of a text that is a term as a whole, or None.

        >>> Glossary({"premise": "prémisse"}).look_up(("Premise:",))
        ('Prémisse:',)
        """
        if len(parts) != 1 or not isinstance(parts[0], str):
            return None
        text = parts[0]
        if text in self.terms:
            return (self.terms[text],)
        stem = text.rstrip(_ENDS)
        folded = {term.casefold(): translation for term, translation in self.terms.items()}
        found = folded.get(text.casefold()) or folded.get(stem.casefold())
        if found is None:
            return None
        rest = text[len(stem) :] if text.casefold() not in folded else ""
        upper = text[:1].isupper() and found[:1].islower() and not any(term == text for term in self.terms)
        return ((found[:1].upper() + found[1:] if upper else found) + rest,)

    def within(self, text: str) -> dict[str, str]:
        """Return the terms that are in a text, case aside."""
        folded = text.casefold()
        return {term: translation for term, translation in self.terms.items() if term.casefold() in folded}


NO_GLOSSARY = Glossary()


def read_glossary(path: Path, language: str) -> Glossary:
    """Return the terms of one language of a file; none where the file has none for it.

    Raises:
        ConfigError: The file is missing, is no YAML, or is not of this form.
    """
    return _read(path).get(language, NO_GLOSSARY)


@cache
def _read(path: Path) -> dict[str, Glossary]:
    try:
        read = yaml.load(read_text_file(path), Loader=yaml.BaseLoader)  # noqa: S506 - texts alone: `no` is a word
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such glossary") from None
    except (yaml.YAMLError, NotUtf8Error) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(read, dict):
        raise ConfigError(f"{path}: a glossary lists languages, each with `term: translation`")
    found = {}
    for code, terms in read.items():
        if not isinstance(terms, dict) or not all(isinstance(term, str) and term for term in terms.values()):
            raise ConfigError(f"{path}: {code}: expected `term: translation`, one a line")
        found[normalize_language(str(code), str(path))] = Glossary(
            {str(term): str(text) for term, text in terms.items()}
        )
    return found
