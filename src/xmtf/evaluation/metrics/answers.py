"""Metrics of one answer against its references: exact match, F1, numbers.

Each returns a value in 0-1, the best over the references.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from xmtf.evaluation.metrics.words import is_punctuation, words

__all__ = ["exact_match", "exact_text", "last_number", "normalize_answer", "numeric_match", "token_f1"]

_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"(?:(?<!\d)[-+\u2212])?(?:\d[\d,\u066c\u00a0\u202f'_]*)(?:[.\u066b]\d+)?")


def normalize_answer(text: str, language: str = "en") -> str:
    """Lower-case, drop punctuation and (in English) articles, collapse white space.

    >>> normalize_answer("  The Cat, sat. "), normalize_answer("«Ja!»", "de")
    ('cat sat', 'ja')

    Source: the SQuAD 1.1 script; punctuation is Unicode's here, so «», 。 and ؟ go too.
    """
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(character for character in text if not is_punctuation(character))
    if language == "en":
        text = _ENGLISH_ARTICLES.sub(" ", text)
    return " ".join(text.split())


def exact_match(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the text equals a reference after SQuAD's normalisation."""
    normal = normalize_answer(text, language)
    return float(any(normal == normalize_answer(reference, language) for reference in references))


def exact_text(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the text equals a reference but for white space and Unicode composition."""

    def plain(value: str) -> str:
        return " ".join(unicodedata.normalize("NFC", value).split())

    return float(any(plain(text) == plain(reference) for reference in references))


def token_f1(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return the F1 of the words shared with the best reference.

    >>> round(token_f1("the big cat", ["a cat"]), 3)
    0.667

    Source: the SQuAD 1.1 script; words as in :mod:`xmtf.evaluation.metrics.words`, so scripts without
    spaces are compared by character, as MLQA does.
    """
    return max((_f1(text, reference, language) for reference in references), default=0.0)


def _f1(text: str, reference: str, language: str) -> float:
    ours, theirs = (words(normalize_answer(value, language)) for value in (text, reference))
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def last_number(text: str) -> Fraction | None:
    """Return the last number in a text, digits of any script, or None.

    >>> last_number("so 3 + 4 = 1,007.50 apples."), last_number("٤٢"), last_number("none")
    (Fraction(2015, 2), Fraction(42, 1), None)
    """
    found = _NUMBER.findall(text)
    if not found:
        return None
    digits = "".join(str(unicodedata.digit(c)) if c.isdecimal() else c for c in found[-1])
    plain = re.sub(r"[,\u066c\u00a0\u202f'_]", "", digits).replace("\u066b", ".").replace("\u2212", "-")
    return Fraction(plain)


def numeric_match(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the last number of the text is the last number of a reference."""
    number = last_number(text)
    return float(number is not None and any(number == last_number(reference) for reference in references))
