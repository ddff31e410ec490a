"""Marks that a reader does not see: directions, joiners at the edge of a word, soft hyphens, byte-order marks."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["without_marks"]

_JOINERS = "\u200c\u200d"
_LOOSE_JOINER = re.compile(rf"(?<!\w)[{_JOINERS}]+|[{_JOINERS}]+(?!\w)")
_PRESENTATION = frozenset(map(chr, range(0xFE00, 0xFE10)))


def without_marks(text: str) -> str:
    """Return a text without the characters that have no glyph, in NFC.

    Joiners inside a word stay: in Persian and Indic scripts they change what is read.

    >>> without_marks("\ufeffso\u00adft\u200f"), without_marks("می\u200cروم\u200c") == "می\u200cروم"
    ('soft', True)
    """
    if text.isascii():
        return text
    kept = "".join(c for c in text if c in _JOINERS or not _is_unseen(c))
    return unicodedata.normalize("NFC", _LOOSE_JOINER.sub("", kept))


def _is_unseen(character: str) -> bool:
    return character in _PRESENTATION or unicodedata.category(character) == "Cf"
