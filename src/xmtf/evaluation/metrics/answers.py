"""Metrics of one answer against its references: exact match, F1, numbers.

Each returns a value in 0-1, the best over the references. Both sides meet in NFC, without marks that have no glyph,
with width and case folded as the language folds them. Of punctuation goes what only dresses an answer; signs, decimal
marks, fractions and what belongs to a name (C++, C#) stay::

    exact_match   "-5" / "5"  0     "3.5" / "35"  0     "C#" / "C"  0     "Ja!" / "ja"  1     "STRASSE" / "Straße"  1

``exact_match_original`` and ``f1_original`` are SQuAD 1.1's, which reads ASCII only.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

from xmtf.evaluation.metrics.marks import without_marks
from xmtf.evaluation.metrics.numbers import last_number, plain_numerals
from xmtf.evaluation.metrics.words import is_punctuation, words

__all__ = [
    "exact_match",
    "exact_match_original",
    "exact_text",
    "f1_original",
    "last_letter",
    "letter_match",
    "normalize_answer",
    "numeric_match",
    "token_f1",
]

_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")
_HALF_AND_FULL_WIDTH = re.compile("[\uff01-\uffee]+")
_COUNTS = re.compile(
    r"""
    (?<![\w)%])[-+](?=[^\w\s]?\d)          # a sign: -5, -$5
    | (?<=\d)[-+./:*=^<>](?=[-+]?\d)       # between digits: 3.5, 1/2, 10:30, 3-4
    | (?<=[^\W\d_])(?:\+{1,2}|\#)(?![\w+\#])  # of a name: C++, A+, F#
    """,
    re.VERBOSE,
)
_TURKIC = frozenset({"tr", "az", "crh", "tt", "kk", "ba", "gag"})
_DOTTED = str.maketrans({"İ": "i", "I": "ı"})
_LETTER = re.compile(r"(?<!\w)([B-HJ]|(?<=\w )A)(?!\w)")
_MARKED_LETTER = re.compile(r"(?<!\w)([A-J])(?=[)\].:。*\"'»”]|\s*$)", re.MULTILINE)
_PIECE = re.compile(r"[-+]?\w+(?:[-+./:*=^<>]+\w+)*(?:\+{1,2}|\#)?|\S")


def normalize_answer(text: str, language: str = "en") -> str:
    """Fold width and case, drop punctuation and (in English) articles alongside other words, collapse white space.

    >>> normalize_answer("  The Cat, sat. "), normalize_answer("«Ja!»", "de"), normalize_answer("−1.000,50", "de")
    ('cat sat', 'ja', '-1000.50')

    Source: the SQuAD 1.1 script, for which punctuation is ASCII's; here it is Unicode's, so «», 。 and ؟ go too.
    """
    text = plain_numerals(_folded(text, language), language)
    kept = {place for found in _COUNTS.finditer(text) for place in range(*found.span())}
    text = "".join(c for place, c in enumerate(text) if place in kept or not is_punctuation(c))
    words_only = " ".join(text.split())
    if language == "en":
        return " ".join(_ENGLISH_ARTICLES.sub(" ", text).split()) or words_only
    return words_only


def _folded(text: str, language: str) -> str:
    """Return a text in NFC with width and case folded."""
    text = without_marks(text)
    text = _HALF_AND_FULL_WIDTH.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    if language.partition("-")[0] in _TURKIC:
        text = text.translate(_DOTTED)
    return unicodedata.normalize("NFC", text.casefold())


def _readings(text: str, language: str) -> set[str]:
    """Return the normal forms of a text; Turkish written in capitals without dots may mean either letter."""
    readings = {normalize_answer(text, language)}
    if "I" in text and language.partition("-")[0] in _TURKIC:
        capitals = " ".join(word.replace("I", "İ") if word.isupper() else word for word in text.split())
        readings.add(normalize_answer(capitals, language))
    return readings


def _unstripped(text: str, language: str) -> str:
    return " ".join(_folded(text, language).split())


def exact_match(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the text equals a reference after normalisation; what that empties is compared as it stands.

    >>> exact_match("?", ["!"]), exact_match("", ["A"]), exact_match("A", ["a"])
    (0.0, 0.0, 1.0)
    """
    return float(any(_same(text, reference, language) for reference in references))


def _same(text: str, reference: str, language: str) -> bool:
    ours, theirs = _readings(text, language), _readings(reference, language)
    if "" in ours | theirs:
        return _unstripped(text, language) == _unstripped(reference, language)
    return bool(ours & theirs)


def exact_text(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the text equals a reference but for white space and Unicode composition."""

    def plain(value: str) -> str:
        return " ".join(unicodedata.normalize("NFC", value).split())

    return float(any(plain(text) == plain(reference) for reference in references))


def token_f1(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return the F1 of the words shared with the best reference.

    >>> round(token_f1("the big cat", ["a cat"]), 3), token_f1("😀", ["😢"]), token_f1("C++", ["C#"])
    (0.667, 0.0, 0.0)

    Source: the SQuAD 1.1 script. Scripts without spaces are compared by character, as MLQA does.
    """
    return max((_f1(text, reference, language) for reference in references), default=0.0)


def _f1(text: str, reference: str, language: str) -> float:
    theirs = [_answer_words(reading) for reading in _readings(reference, language)]
    ours = [_answer_words(reading) for reading in _readings(text, language)]
    if [] in ours or [] in theirs:
        return float(_same(text, reference, language))
    return max(_overlap(one, other) for one in ours for other in theirs)


def _overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


@lru_cache(maxsize=4096)
def _answer_words(normal: str) -> list[str]:
    """Return the words of a normal form; numbers with their marks, names such as ``c++`` and symbols are words."""
    found: list[str] = []
    for chunk in normal.split():
        if all(character.isalpha() for character in chunk):
            found += words(chunk)
            continue
        plain = words(chunk)
        if "".join(plain) == chunk:
            found += plain
        else:
            found += [word for piece in _PIECE.findall(chunk) for word in _pieces(piece)]
    return found


def _pieces(piece: str) -> list[str]:
    plain = words(piece)
    return plain if "".join(plain) == piece else [piece]


def _squad_normal(text: str) -> str:
    text = unicodedata.normalize("NFC", text).lower()
    text = "".join(character for character in text if character not in string.punctuation)
    return " ".join(_ENGLISH_ARTICLES.sub(" ", text).split())


def exact_match_original(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the text equals a reference by SQuAD 1.1's rule, whatever the language.

    >>> exact_match_original("The 3.5!", ["35"])
    1.0
    """
    return float(any(_squad_normal(text) == _squad_normal(reference) for reference in references))


def f1_original(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return the F1 of SQuAD 1.1's rule: words are what is between white space."""

    def one(reference: str) -> float:
        ours, theirs = _squad_normal(text).split(), _squad_normal(reference).split()
        return _overlap(ours, theirs) if ours and theirs else 0.0

    return max(map(one, references), default=0.0)


def numeric_match(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the last number of the text is the last number of a reference, as their language writes numbers.

    >>> numeric_match("Das sind 70.000 €.", ["70000"], "de"), numeric_match("3,5", ["35"], "de")
    (1.0, 0.0)
    """
    number = last_number(text, language)
    return float(number is not None and any(number == last_number(reference, language) for reference in references))


def letter_match(text: str, references: Sequence[str], language: str = "en") -> float:
    """Return 1.0 when the letter that an answer comes to is a reference's; a reference without one is to be matched.

    >>> letter_match("A is too small: it is (B).", ["B"]), letter_match("B. A cat", ["A"]), letter_match("?", ["A"])
    (1.0, 0.0, 0.0)
    """
    letter, wanted = last_letter(text), [last_letter(reference) for reference in references]
    if None in wanted:
        return exact_match(text, references, language)
    return float(letter in wanted)


def last_letter(text: str) -> str | None:
    """Return the letter of an option that an answer comes to, or None.

    That is the last capital from A to J that stands alone and ends a line or has a bracket, full stop, colon, quote or
    asterisk behind it; where there is none, the last that stands alone and is neither the pronoun I nor an article at
    the beginning of a sentence.

    >>> last_letter("**C**"), last_letter("Option D because it is red"), last_letter("Ｂ）"), last_letter("ABC")
    ('C', 'D', 'B', None)
    >>> last_letter("I do not know"), last_letter("A cat"), last_letter("It is A because of that"), last_letter("A")
    (None, None, 'A', 'A')
    """
    plain = unicodedata.normalize("NFKC", text)
    found = _MARKED_LETTER.findall(plain) or _LETTER.findall(plain)
    return found[-1] if found else None


SHARES: dict[str, Callable[[str, Sequence[str], str], float]] = {
    "exact_match": exact_match,
    "exact_match_original": exact_match_original,
    "exact_text": exact_text,
    "letter_match": letter_match,
    "numeric_match": numeric_match,
}
"""Metrics that say yes or no to an answer, by name."""
