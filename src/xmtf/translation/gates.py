"""What an answer must fulfil before it may be in a template; what fails here is never written as done."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from xmtf.languages.codes import get_language, main_script
from xmtf.templates.languages.segments import Part

__all__ = ["has_no_spaces", "letters", "problem_of", "tidy"]

_SYMBOLS = frozenset("{}|\\<>&*#@^~=+$%`_/[]")
"""Signs that say something to Jinja, to HTML or to the style of marks: as many of each as in the source."""

_JOINERS = "\u200c\u200d"
_FORBIDDEN = ("Cc", "Cs", "Co", "Cn", "Zl", "Zp")
_NO_SPACES = {"Hani", "Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
_DENSE = {"Hani", "Hans", "Hant", "Jpan", "Kore", "Hang"}
_WRITTEN_IN = {"Jpan": ("Hira", "Kana", "Hani"), "Kore": ("Hang", "Hani"), "Hans": ("Hani",), "Hant": ("Hani",)}
_FEW_LETTERS, _FEW_WORDS, _SCRIPT_LETTERS = 15, 4, 3
_LABEL = re.compile(r"(?<![^\W_])[B-HJ-Z](?![^\W_])|(?<=[^\W\d_] )A(?![^\W_])|(?<![^\W_])A(?= (?:or|and) [B-Z]\b)")
"""A capital letter that names an option, and is no article."""

_LETTER = re.compile(r"(?<![^\W_])[A-Z](?![^\W_])")
_LEFTOVER = re.compile(r"XQ\s?\d*\s?X|\bx\s+id\b", re.IGNORECASE)


def letters(text: str) -> str:
    """Return the letters of a text with the marks on them, case folded.

    >>> letters("Yes, No?")
    'yesno'
    """
    return "".join(character for character in text if unicodedata.category(character)[0] in "LM").casefold()


def tidy(source: Sequence[Part], answer: Sequence[Part]) -> tuple[Part, ...]:
    """Return an answer with one space where an engine wrote several, but for a source that has several itself.

    >>> tidy(("All we know",), ("Todo  sabemos",))
    ('Todo sabemos',)
    """
    if "  " in "".join(part for part in source if isinstance(part, str)):
        return tuple(answer)
    return tuple(re.sub(" {2,}", " ", part) if isinstance(part, str) else part for part in answer)


def has_no_spaces(language: str) -> bool:
    """Whether a language is written without spaces between words."""
    return get_language(language).script in _NO_SPACES


def problem_of(source: Sequence[Part], answer: Sequence[Part], target: str) -> str:
    """Return why an answer may not stand for its source, or ``""``.

    Args:
        source: Text and marks of the unit.
        answer: Text and marks that came back.
        target: Language of the answer.
    """
    before, after = _text(source), _text(answer)
    return (
        _marks(source, answer)
        or _characters(before, after)
        or _said(before, after, target)
        or ("" if has_no_spaces(target) else _spaces(source, answer))
    )


def _text(parts: Sequence[Part]) -> str:
    return " ".join(part for part in parts if isinstance(part, str))


def _marks(source: Sequence[Part], answer: Sequence[Part]) -> str:
    expected, found = (Counter(part for part in parts if isinstance(part, int)) for parts in (source, answer))
    if expected == found:
        return ""
    lost, more = sum((expected - found).values()), sum((found - expected).values())
    return f"placeholders: {lost} lost, {more} too many"


def _characters(before: str, after: str) -> str:
    for character in after:
        kind = unicodedata.category(character)
        if kind in _FORBIDDEN or character == "\ufffd":
            return f"a character that no text has (U+{ord(character):04X})"
        if kind == "Cf" and character not in _JOINERS and character not in before:
            return f"an invisible character (U+{ord(character):04X})"
    counts = [Counter(character for character in text if character in _SYMBOLS) for text in (before, after)]
    unknown = re.findall(r"\*(\w+)", after)
    if unknown and "*" not in before:
        return f"words that the engine does not know: {', '.join(dict.fromkeys(unknown))}"
    if counts[0] != counts[1]:
        signs = "".join(sorted((counts[0] - counts[1]) | (counts[1] - counts[0])))
        return f"signs differ from the source: {signs}"
    numbers = [
        Counter(unicodedata.digit(character) for character in text if character.isdigit()) for text in (before, after)
    ]
    if numbers[0] != numbers[1]:
        return "numbers differ from the source"
    if Counter(_LABEL.findall(before)) - Counter(_LETTER.findall(after)):
        return "a letter that names an option is lost"
    found = _LEFTOVER.search(after)
    return f"remains of a placeholder: {found[0]}" if found and not _LEFTOVER.search(before) else ""


def _said(before: str, after: str, target: str) -> str:
    first, second = letters(before), letters(after)
    if not second:
        return "an empty answer"
    script, written = get_language(target).script, main_script(after)
    if len(second) >= _SCRIPT_LETTERS and script and written not in {script, *_WRITTEN_IN.get(script, ())}:
        return f"written in {written}, but {target} is written in {script}"
    words, given = len(before.split()), len(after.split())
    if first == second and words > 1:
        return "the answer is the source"
    if len(first) >= _FEW_LETTERS:
        ratio = len(second) / len(first)
        if not (0.1 if script in _DENSE else 0.3) <= ratio <= 4:
            return f"{ratio:.1f} times as long as the source"
    if words >= _FEW_WORDS and given == 1 and script not in _NO_SPACES:
        return f"one word for {words}"
    return ""


def _spaces(source: Sequence[Part], answer: Sequence[Part]) -> str:
    expected, found = _glued(source), _glued(answer)
    return "" if found <= expected else f"{found - expected} spaces next to placeholders lost"


def _glued(parts: Sequence[Part]) -> int:
    """Count the sides of marks at which a letter or digit, or another mark, stands without a space."""
    count = 0
    for left, right in itertools.pairwise(parts):
        if isinstance(left, int) and isinstance(right, int):
            count += 1
        elif isinstance(left, int) and isinstance(right, str):
            count += right[0].isalnum()
        elif isinstance(left, str) and isinstance(right, int):
            count += left[-1].isalnum()
    return count
