"""How a language writes numbers: its decimal mark, its native digits, its words for thousand, lakh and million.

All of it is CLDR's, as babel carries it, but for a short table of what every reader of a language knows and CLDR does
not abbreviate by (lakh and crore in Telugu, million in Hindi), and for Han numerals after digits, which stand alike in
texts of any language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from babel import Locale, UnknownLocaleError

from xmtf.evaluation.metrics.marks import without_marks
from xmtf.evaluation.metrics.words import is_unspaced

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Convention", "Scale", "convention", "is_glued"]


@dataclass(frozen=True, slots=True)
class Scale:
    """A word that multiplies the number next to it.

    Attributes:
        word: As it is written.
        value: By how much.
        before: Whether it is before the number, as in Swahili ``elfu 70``.
    """

    word: str
    value: int
    before: bool = False

    @property
    def glued(self) -> bool:
        """Whether other words may follow without a space."""
        return is_glued(self.word[-1])


@dataclass(frozen=True, slots=True)
class Convention:
    """How numbers are written in one language.

    Attributes:
        decimal: ``.`` or ``,``: which of the two divides off a fraction; the other one groups.
        swaps: Whether the two change places between native digits, as in Khmer.
        scales: Its words for powers of ten, longest first.
        han: Whether Han digits stand for numbers in it.
    """

    decimal: str
    swaps: bool
    scales: tuple[Scale, ...]
    han: bool


_HAN = {"百": 2, "千": 3, "万": 4, "萬": 4, "만": 4, "億": 8, "亿": 8, "억": 8, "兆": 12, "조": 12, "천": 3, "백": 2}
_LAKH = "lakh lakhs lac lacs लाख লাখ লক্ষ લાખ ਲੱਖ ଲକ୍ଷ ଲକ୍ଷ லட்சம் இலட்சம் లక్ష లక్షలు లక్షల ಲಕ್ಷ ലക്ഷം لاکھ ලක්ෂ ලක්ෂය"
_CRORE = "crore crores करोड़ करोड कोटी কোটি કરોડ ਕਰੋੜ କୋଟି கோடி కోటి కోట్లు కోట్ల ಕೋಟಿ കോടി کروڑ"
_EVERYWHERE = (
    *(Scale(word, 10**power) for word, power in _HAN.items()),
    *(Scale(word, 10**5) for word in _LAKH.split()),
    *(Scale(word, 10**7) for word in _CRORE.split()),
)
_HAN_LANGUAGES = frozenset({"zh", "ja", "yue", "lzh", "wuu", "nan", "hak", "gan", "hsn", "cdo", "cjy", "mnp"})


def is_glued(character: str) -> bool:
    """Return whether the word after a character needs no space: of an unspaced script, or a Han or Korean numeral."""
    return character in _HAN or is_unspaced(character)


@cache
def convention(language: str) -> Convention:
    """Return how a language writes numbers; of one that CLDR does not know, what most of the world understands.

    >>> convention("de").decimal, convention("xx").decimal
    (',', '.')
    """
    locale = _locale(language)
    han = language.partition("-")[0] in _HAN_LANGUAGES
    if locale is None:
        return Convention(".", False, _longest_first(_EVERYWHERE), han)
    symbols = locale.number_symbols
    default = locale.default_numbering_system
    native = locale.other_numbering_systems.get("native", default)
    latin_mark, native_mark = (
        dict(symbols.get(system) or symbols[default]).get("decimal") for system in ("latn", native)
    )
    swaps = {latin_mark, native_mark} == {".", ","}
    decimal = "," if latin_mark == "," else "."
    return Convention(decimal, swaps, _longest_first((*_EVERYWHERE, *_scales(locale))), han)


def _locale(language: str) -> Locale | None:
    for tag in (language, language.partition("-")[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return None


def _scales(locale: Locale) -> Iterator[Scale]:
    """Read the words off CLDR's long compact patterns: ``0 thousand`` under 1000, ``00 लाख`` under 1000000."""
    for magnitudes in dict(locale.compact_decimal_formats).get("long", {}).values():
        for magnitude, pattern in magnitudes.items():
            written = without_marks(pattern.pattern.split(";")[0].replace("'", ""))
            found = re.fullmatch(r"([^0]*)(0+)([^0]*)", written)
            if found is None:
                continue
            before, after = (found[side].strip() for side in (1, 3))
            word = after or before
            if bool(before) != bool(after) and (len(word) > 1 or not word.isascii()):
                yield Scale(word.lower(), int(magnitude) // 10 ** (len(found[2]) - 1), before=bool(before))


def _longest_first(scales: tuple[Scale, ...]) -> tuple[Scale, ...]:
    distinct = {(scale.word, scale.before): scale for scale in reversed(scales)}
    return tuple(sorted(distinct.values(), key=lambda scale: -len(scale.word)))
