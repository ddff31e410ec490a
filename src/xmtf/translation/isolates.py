"""Isolates of Unicode around values in right-to-left text, so that a value in Latin letters keeps its place.

``{{ premise }}`` in Arabic becomes U+2068 ``{{ premise }}`` U+2069: the value is laid out by itself, whatever its
script.
"""

from __future__ import annotations

from collections.abc import Sequence

from xmtf.languages.codes import get_language
from xmtf.templates.languages.segments import Part

__all__ = ["FIRST_STRONG", "POP", "is_right_to_left", "isolated"]

FIRST_STRONG, POP = "\u2068", "\u2069"

_SCRIPTS = {"Arab", "Hebr", "Syrc", "Thaa", "Nkoo", "Adlm", "Rohg", "Mand", "Samr"}


def is_right_to_left(language: str) -> bool:
    """Whether a language is written from right to left."""
    return get_language(language).script in _SCRIPTS


def isolated(parts: Sequence[Part], language: str) -> tuple[Part, ...]:
    """Return the parts with an isolate around each mark, where the language is written from right to left."""
    if not is_right_to_left(language):
        return tuple(parts)
    around: list[Part] = []
    for part in parts:
        around += [FIRST_STRONG, part, POP] if isinstance(part, int) else [part]
    return tuple(around)
