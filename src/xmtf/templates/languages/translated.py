"""What the metadata of a translated template say: how far it is, who made it, and of which original.

They stand flat in the metadata of an entry (in the plain form, in the entry itself), and lead over the suffix of its
name::

    languages: [fr]
    state: unreviewed            # machine, for_person, fuzzy, unreviewed, reviewed, rejected
    original: trust the claim    # name of the entry that it is a translation of
    engine: hand                 # what wrote it
    version: ''                  # of the engine
    prompt: ''                   # hash of what an engine was given besides the text
    date: 2026-11-30
    source_hash: 0f5c3d1b9a7e2c46
    reviewer: ''                 # who reviewed or rejected it
    comment: ''
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from xmtf.errors import TemplateError
from xmtf.files import content_hash
from xmtf.languages.codes import normalize_language
from xmtf.records import Translation
from xmtf.templates.languages.names import language_of_name

__all__ = ["HAND", "KEYS", "STATES", "USED", "State", "Translated", "read_translated", "source_hash", "translated_name"]

State = Literal["machine", "for_person", "fuzzy", "unreviewed", "reviewed", "rejected"]
"""How far a translation is.

``machine``: written by an engine, and every check of its marks passed. ``for_person``: an engine failed on a part of
it, which still is in the language of the original. ``fuzzy``: its original changed after it was made.
``unreviewed``: written by hand, and no native reader has seen it. ``reviewed``: a person accepted it. ``rejected``: a
person refused it.
"""

STATES: tuple[State, ...] = get_args(State)
USED: tuple[State, ...] = ("machine", "unreviewed", "reviewed")
"""States whose text is rendered in mixtures and evaluations; the others wait for a person."""

HAND = "hand"
"""Engine of what a person wrote."""

KEYS = ("original", "engine", "version", "prompt", "date", "source_hash", "reviewer", "comment")
"""Texts of the metadata next to ``state``, in the order in which they are written."""

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_HASH = re.compile(r"[0-9a-f]{16}")
_SUFFIX_CODES = {"ja": "jp"}
"""Languages that names of templates spell in their own way."""


@dataclass(frozen=True, slots=True)
class Translated:
    """How a template came into its language.

    Attributes:
        state: How far it is.
        original: Name of the template that it is a translation of.
        engine: What wrote it: ``hand``, or the name of an engine.
        version: Version of the engine.
        prompt: Hash of what the engine was told alongside the text (role, glossary, example), or ``""``.
        date: Day on which its text was last written, ``2026-11-30``.
        source_hash: :func:`source_hash` of the original when it was translated, or ``""``.
        reviewer: Who reviewed or rejected it.
        comment: Free text for the people who review it.
    """

    state: State
    original: str = ""
    engine: str = ""
    version: str = ""
    prompt: str = ""
    date: str = ""
    source_hash: str = ""
    reviewer: str = ""
    comment: str = ""

    @property
    def translation(self) -> Translation:
        """What a result says of it: only what a person reviewed is a human translation."""
        return "human" if self.state == "reviewed" else "machine"

    @property
    def is_used(self) -> bool:
        """Whether mixtures and evaluations render it."""
        return self.state in USED


def source_hash(jinja: str, answer_choices: str | None) -> str:
    """Return 16 hex digits that change with what is translated of an original.

    >>> source_hash("{{ text }} Topic? ||| {{ topic }}", None)
    '8906a7ea37c5c3e7'
    """
    return content_hash([jinja, answer_choices])[:16]


def translated_name(original: str, language: str, translation: Translation) -> str:
    """Return the name of a translation: xP3's suffix where that is read back as the same, else the code in brackets.

    >>> [translated_name("ask", code, "machine") for code in ("fr", "ja", "zh-Hant", "nso")]
    ['ask_frmt', 'ask_jpmt', 'ask_zh-Hantmt', 'ask (nso)']
    """
    by = "ht" if translation == "human" else "mt"
    name = f"{original}_{_SUFFIX_CODES.get(language, language)}{by}"
    return name if language_of_name(name) == (language, translation) else f"{original} ({language})"


def read_translated(texts: Mapping[str, str | None], languages: tuple[str, ...], where: str) -> Translated | None:
    """Return what the metadata say of a translation, or None where they have no ``state``.

    Args:
        texts: Key -> text of the metadata.
        languages: Codes that the metadata list.
        where: Names the entry in errors.

    Raises:
        TemplateError: The state is none, the language is missing, or a date or hash is malformed.
    """
    state = texts.get("state")
    if state is None:
        return None
    if state not in STATES:
        raise TemplateError(f"{where}: state is {state!r}; it is one of {', '.join(STATES)}")
    if len(languages) != 1:
        raise TemplateError(f"{where}: a translation has a single language; set `languages: [fr]`")
    normalize_language(languages[0], where)
    found = Translated(state, **{key: texts.get(key) or "" for key in KEYS})
    if not found.engine:
        raise TemplateError(f"{where}: a translation names its engine; set `engine: hand` or the engine's name")
    if state == "reviewed" and not found.reviewer:
        raise TemplateError(f"{where}: state is reviewed, but there is no reviewer; set `reviewer`")
    for key, value, form in (("date", found.date, _DATE), ("source_hash", found.source_hash, _HASH)):
        if value and not form.fullmatch(value):
            meant = "a date such as 2026-11-30" if key == "date" else "16 hex digits"
            raise TemplateError(f"{where}: {key} is {value!r}; expected {meant}")
    if texts.get("translation") not in (None, found.translation):
        said = texts["translation"]
        raise TemplateError(f"{where}: translation is {said!r}, but state {state} means {found.translation!r}; omit it")
    return found
