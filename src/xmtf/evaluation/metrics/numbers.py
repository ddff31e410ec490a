"""Numbers as the language of an answer writes them.

``1.000`` is a thousand in German and one in English; ``3,5`` is three and a half in both, and thirty-five in none. What
a language leaves open is read as everybody reads it: the last of two different marks divides off the fraction, a mark
that comes twice groups.

::

    language  text            number
    de        70.000          70000      the language's grouping mark, three digits behind it
    en        70.000          70
    en        3,5             7/2        not three digits: no grouping
    any       1.234,50        2469/2     the last of two marks
    any       1.000.000       1000000
    any       12.05.2024      12, 5, 2024   neither: numbers of their own
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from xmtf.evaluation.metrics.marks import without_marks
from xmtf.evaluation.metrics.number_words import Convention, Scale, convention, is_glued

__all__ = ["last_number", "plain_numerals", "read_numbers"]

_SAME = str.maketrans(
    {
        **dict.fromkeys("−﹣－‒–‐‑", "-"),
        **dict.fromkeys("＋﹢", "+"),
        **dict.fromkeys("．﹒", "."),
        **dict.fromkeys("，﹐", ","),
        **dict.fromkeys("’‘ʼ＇′", "'"),
        **dict.fromkeys("⁄∕／", "/"),
    }
)
_MARKS = ".,'_٫٬، "
_RUN = re.compile(rf"\d+(?:[{_MARKS}]\d+)*")
_SIGN = re.compile(r"(?<![\w)%\]])([-+])\s?\W?$")
_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺"
_POWER = re.compile(
    rf"[eE]([-+]?\d{{1,3}})(?!\w)|\s?(?:[×xX*·]|\\times)\s?10(?:(?:\^|\*\*)\s?\{{?([-+]?\d{{1,3}})\}}?|([{_RAISED}]{{1,4}}))"
)
_FRACTION = re.compile(r"\s?/\s?(\d+)(?![\d/]|[.,]\d)")
_TEX_FRACTION = re.compile(r"\\[dtc]?frac\s*\{?(\d+)\}?\s*\{?(\d+)\}?")
_UNIT = re.compile(r"(?<![^\W\d_])[kcdmµn]?m$")
_LOWERED = str.maketrans(_RAISED, "0123456789-+")
_HAN_DIGITS = "〇一二三四五六七八九"
_HAN_RUN = re.compile(
    rf"(?<![十百千万萬億亿兆])[{_HAN_DIGITS}](?:[.,]?[{_HAN_DIGITS}])+(?![十百千])|(?<=[-+])[{_HAN_DIGITS}](?!\w)"
)
_NATIVE_MARK = re.compile(r"(?<=[^\x00-\x7f])(?<=\d)[.,](?=[^\x00-\x7f])(?=\d)")


@dataclass(frozen=True, slots=True)
class _Numeral:
    """One number as it is written.

    Attributes:
        whole: Its digits before the decimal mark, ungrouped.
        rest: Its digits behind it, or ``""``.
        start: Where it begins in the plain text.
        end: Where it ends.
    """

    whole: str
    rest: str
    start: int
    end: int

    @property
    def value(self) -> Fraction:
        return Fraction(f"{self.whole or '0'}.{self.rest or '0'}")


def last_number(text: str, language: str = "en") -> Fraction | None:
    """Return the last number in a text, digits of any script, or None.

    >>> last_number("so 3 + 4 = 1,007.50 apples."), last_number("٤٢"), last_number("none")
    (Fraction(2015, 2), Fraction(42, 1), None)
    >>> last_number("70.000", "de"), last_number("7万", "ja"), last_number("½"), last_number("50 %")
    (Fraction(70000, 1), Fraction(70000, 1), Fraction(1, 2), Fraction(50, 1))
    """
    found = read_numbers(text, language)
    return found[-1] if found else None


def read_numbers(text: str, language: str = "en") -> list[Fraction]:
    """Return the numbers in a text, in order.

    Args:
        text: Any text.
        language: Code of the language that it is written in.
    """
    rules = convention(language)
    plain = _plain(text, rules)
    found: list[Fraction] = []
    end = 0  # of what the number before has taken
    pending: tuple[Fraction, int, int] | None = None  # value, scale and end of a number that the next may add to
    for numeral in _numerals(plain, rules):
        if numeral.start < end or _is_unit(plain, numeral):
            continue
        value, end, scale = _with_neighbours(plain, numeral, rules)
        joined = pending is not None and _adds_up(plain, pending, numeral, value, scale)
        if joined or (found and _is_mixed(plain, numeral, value)):
            found[-1] += value if found[-1] >= 0 else -value
        else:
            found.append(value)
        pending = (abs(value), scale, end) if scale > 1 else None
    return found


def plain_numerals(text: str, language: str) -> str:
    """Write every number of a text ungrouped and with a full stop as decimal mark; everything else stays.

    >>> plain_numerals("1.234,50 kg", "de"), plain_numerals("3.10", "en"), plain_numerals("１，０００", "ja")
    ('1234.50 kg', '3.10', '1000')
    """
    rules = convention(language)
    plain = _plain(text, rules, tex=False)
    parts, end = [], 0
    for numeral in _numerals(plain, rules):
        parts += [plain[end : numeral.start], numeral.whole + (f".{numeral.rest}" if numeral.rest else "")]
        end = numeral.end
    return "".join([*parts, plain[end:]])


def _plain(text: str, rules: Convention, *, tex: bool = True) -> str:
    """Return the text with one character for each digit, mark, sign and space, whatever it was written with."""
    text = without_marks(text)
    if not text.isascii():
        text = _with_plain_fractions(text)
        if rules.swaps:
            text = _NATIVE_MARK.sub(lambda found: ",."[found[0] == ","], text)
        text = text.translate(_SAME)
        text = "".join(_plain_character(character) for character in text)
        if rules.han:
            text = _with_han_digits(text)
    if tex:
        text = text.replace("{,}", ",").replace("\\,", " ")
        text = _TEX_FRACTION.sub(r" \1/\2", text)
    return text


def _plain_character(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    return " " if unicodedata.category(character) == "Zs" else character


def _with_plain_fractions(text: str) -> str:
    """Write ``½`` as ``1/2``, apart from a digit before it."""
    parts: list[str] = []
    for character in text:
        if unicodedata.decomposition(character).startswith("<fraction>"):
            apart = " " if parts and parts[-1][-1].isdecimal() else ""
            parts.append(apart + unicodedata.normalize("NFKD", character))
        else:
            parts.append(character)
    return "".join(parts)


def _with_han_digits(text: str) -> str:
    """Write Han digits as ASCII where they stand for a number: several in a row, or nothing else in the text."""
    alone = text.strip(" -+。.!！")
    if len(alone) == 1 and alone in _HAN_DIGITS:
        return text.replace(alone, str(_HAN_DIGITS.index(alone)))
    table = str.maketrans(_HAN_DIGITS, "0123456789")
    return _HAN_RUN.sub(lambda found: found[0].translate(table), text)


def _numerals(plain: str, rules: Convention) -> Iterator[_Numeral]:
    """Yield the numerals of a plain text, decimal marks and groups resolved."""
    for run in _RUN.finditer(plain):
        place = run.start()
        pieces = run[0].split(" ")
        while pieces:
            taken = _space_grouped(pieces)
            piece = " ".join(pieces[:taken])
            yield from _resolved(piece.replace(" ", "٬") if taken > 1 else piece, place, rules, plain)
            place += len(piece) + 1
            pieces = pieces[taken:]


def _space_grouped(pieces: list[str]) -> int:
    """Return how many of the pieces between spaces make one number: ``12 500`` two, ``5 7`` one."""
    taken = 1
    if not re.fullmatch(r"[1-9]\d{0,2}", pieces[0]):
        return taken
    while taken < len(pieces) and (found := re.fullmatch(r"\d{3}([.,٫]\d+)?", pieces[taken])):
        taken += 1
        if found[1]:
            break
    return taken


def _resolved(piece: str, start: int, rules: Convention, plain: str) -> Iterator[_Numeral]:
    """Yield the one numeral of digits and marks, or several where the marks cannot belong to one number."""
    parts = re.split(rf"([{_MARKS}])", piece)
    digits, marks = parts[::2], parts[1::2]
    places = _decimal_place(digits, marks, rules)
    if places is not None:
        whole, rest = "".join(digits[:places]), "".join(digits[places:])
        if start and places == 1 and not marks and _starts_with_mark(plain, start, rules):
            yield _Numeral("", digits[0], start - 1, start + len(piece))
            return
        yield _Numeral(whole, rest, start, start + len(piece))
        return
    apart = "," if len(set(marks)) > 1 and "," in marks else _MARKS
    for part in re.finditer(rf"[^{apart}]+", piece):
        yield from _resolved(part[0], start + part.start(), rules, plain)


def _starts_with_mark(plain: str, start: int, rules: Convention) -> bool:
    """Return whether this is a number such as ``.5``, whose decimal mark is before its first digit."""
    return plain[start - 1] == rules.decimal and (start == 1 or plain[start - 2] in " (=$\n-+")


def _decimal_place(digits: list[str], marks: list[str], rules: Convention) -> int | None:
    """Return how many pieces of digits are before the decimal mark, or None where this is no one number."""
    if not marks:
        return 1
    *grouping, last = marks
    if len(set(marks)) == 1 and (grouping or last not in "٫.,"):
        return len(digits) if last != "٫" and _groups(digits) else None
    if not grouping:
        groups = _groups(digits) and last not in ("٫", rules.decimal)
        return len(digits) if groups else 1
    if last in "٫.," and last not in grouping and len(set(grouping)) == 1 and _groups(digits[:-1]):
        return len(digits) - 1
    return None


def _groups(digits: list[str]) -> bool:
    """Return whether digits are grouped: by three, or as in India by two and the last three."""
    first, *middle, last = digits
    if len(digits) == 1:
        return True
    if len(last) != 3 or first.startswith("0"):
        return False
    by_three = len(first) <= 3 and all(len(group) == 3 for group in middle)
    return by_three or (len(first) <= 2 and all(len(group) == 2 for group in middle))


def _is_unit(plain: str, numeral: _Numeral) -> bool:
    """Return whether a numeral is the 2 of ``km2``."""
    digits = plain[numeral.start : numeral.end]
    return digits in ("2", "3") and _UNIT.search(plain, max(0, numeral.start - 4), numeral.start) is not None


def _with_neighbours(plain: str, numeral: _Numeral, rules: Convention) -> tuple[Fraction, int, int]:
    """Return the value of a numeral with its sign, fraction, power and word; where that ends; and the word's factor."""
    value, end, scale = numeral.value, numeral.end, 1
    sign = _SIGN.search(plain[max(0, numeral.start - 4) : numeral.start])
    fraction = _FRACTION.match(plain, end) if not plain[: numeral.start].endswith("/") else None
    if fraction and int(fraction[1]) and not numeral.rest:
        value, end = value / int(fraction[1]), fraction.end()
    elif power := _POWER.match(plain, end):
        exponent = next(filter(None, power.groups())).translate(_LOWERED)
        value, end = value * Fraction(10) ** int(exponent), power.end()
    while word := _scale(plain, end, rules):
        value, end, scale = value * word.value, _word_end(plain, end, word), scale * word.value
    if before := _scale_before(plain, numeral.start, rules):
        value, scale = value * before.value, before.value
    return (-value if sign and sign[1] == "-" else value), end, scale


def _word_end(plain: str, end: int, scale: Scale) -> int:
    """Return where a word that is behind a number at ``end`` ends."""
    return end + len(plain[end:]) - len(plain[end:].lstrip(" ")) + len(scale.word)


def _scale(plain: str, end: int, rules: Convention) -> Scale | None:
    """Return the word for a power of ten that is behind a number."""
    tail = plain[end : end + 40]
    close = tail.lstrip(" ")
    if len(tail) - len(close) > 1:
        return None
    lower = close.lower()
    for scale in rules.scales:
        if scale.before or not lower.startswith(scale.word):
            continue
        after = lower[len(scale.word) : len(scale.word) + 1]
        if scale.glued or not after or not (after.isalpha() or unicodedata.category(after)[0] == "M"):
            return scale
    return None


def _scale_before(plain: str, start: int, rules: Convention) -> Scale | None:
    head = plain[max(0, start - 40) : start].rstrip("-+").rstrip(" ").lower()
    return next((scale for scale in rules.scales if scale.before and _ends_with_word(head, scale.word)), None)


def _ends_with_word(text: str, word: str) -> bool:
    return text.endswith(word) and not text[: -len(word)][-1:].isalpha()


def _adds_up(plain: str, before: tuple[Fraction, int, int], numeral: _Numeral, value: Fraction, scale: int) -> bool:
    """Return whether a number continues one with per word: ``2億5000万``, ``2 lakh 50 thousand``, ``1万5000``."""
    _, factor, end = before
    between = plain[end : numeral.start]
    if between.strip(" ") or len(between) > 1 or not 0 <= value < factor:
        return False
    return scale > 1 or (not between and is_glued(plain[end - 1]))


def _is_mixed(plain: str, numeral: _Numeral, value: Fraction) -> bool:
    """Return whether a numeral is the fraction of ``2 1/2``."""
    before = plain[: numeral.start]
    return value.denominator > 1 and 0 < value < 1 and not numeral.rest and re.search(r"\d $", before) is not None
