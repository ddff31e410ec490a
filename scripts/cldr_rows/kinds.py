"""Datasets about what a word stands for, and about which language a text is written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

from cldr_rows.dates import draw_date
from cldr_rows.draw import ROWS, Row, deal, draw, pick
from cldr_rows.locales import LanguageData, described, language_data, offered_languages
from xmtf.languages.codes import get_language

__all__ = ["KINDS", "kinds", "odd_one_out", "which_language"]

KINDS = ("month", "weekday", "place", "language", "currency", "unit")
"""What a name can stand for; the order gives the labels."""


def _names_by_kind(language: LanguageData) -> list[list[str]]:
    """Return the names of each kind, without any that two kinds share."""
    groups: list[Sequence[str]] = [
        language.months,
        language.weekdays,
        list(language.territories.values()),
        list(language.languages.values()),
        list(language.currencies.values()),
        list(language.unit_names.values()),
    ]
    counts = Counter(name for group in groups for name in {name.casefold() for name in group})
    return [sorted({name for name in group if counts[name.casefold()] == 1}) for group in groups]


def kinds(language: LanguageData) -> Iterator[Row]:
    """Say what kind of thing a name stands for; all kinds that the language has are equally frequent."""
    groups = _names_by_kind(language)
    for label, names in enumerate(groups):
        for name in draw(names, ROWS // len(KINDS), "kinds", language.code):
            yield {
                **described(language, name.casefold()),
                "name": name,
                "label": label,
            }


def odd_one_out(language: LanguageData) -> Iterator[Row]:
    """Say which of four names is of another kind than the other three."""
    groups = [names for names in _names_by_kind(language) if len(names) >= 7]
    for position in range(ROWS if len(groups) >= 2 else 0):
        three, one = draw(range(len(groups)), 2, "kinds of the odd one", language.code, position)
        odd = pick(groups[one], "the odd one", language.code, position)
        others = draw(groups[three], 3, "the other three", language.code, position)
        choices, label = deal(odd, others, language.code, position)
        yield {
            **described(language, odd.casefold()),
            "choices": choices,
            "label": label,
        }


def which_language(language: LanguageData) -> Iterator[Row]:
    """Say which of four languages a text is written in.

    One of the wrong languages has the same script where there is one, and none of them would write
    the same text.
    """
    for position in range(ROWS):
        form, text = _text(language, position)
        wrong = _wrong_languages(language, position, form, text)
        choices, label = deal(language.english_name, wrong, language.code, position)
        yield {
            "key": text.casefold(),
            "language": language.code,
            "text": text,
            "choices": choices,
            "label": label,
        }


def _text(language: LanguageData, position: int) -> tuple[str, str]:
    """Return (form, text): a date, names of places, or names of months, whichever the language has."""
    forms = ["dates"] if language.has_dates else []
    forms += ["places"] if len(language.territories) >= 30 else []
    form = pick(forms or ["months"], "form of text", language.code, position)
    if form == "dates":
        return form, language.date(draw_date("text", language.code, position), "full")
    names = list(language.territories.values()) if form == "places" else [*language.weekdays, *language.months]
    return form, ", ".join(draw(names, 3, "text", language.code, position))


def _wrong_languages(language: LanguageData, position: int, form: str, text: str) -> list[str]:
    """Return three names of languages that do not write ``text``, the first of the same script where one is."""
    script = get_language(language.code).script
    others = draw(offered_languages(), 12, "wrong", language.code, position, without=[language.code])
    near = draw(_same_script(script), 4, "near", language.code, position, without=[language.code])
    chosen = [code for code in near if not _writes(code, form, text, language, position)][:1]
    for code in others:
        if len(chosen) < 3 and code not in chosen and not _writes(code, form, text, language, position):
            chosen.append(code)
    return [language_data(code).english_name for code in chosen]


@cache
def _same_script(script: str) -> tuple[str, ...]:
    return tuple(code for code in offered_languages() if get_language(code).script == script)


def _writes(code: str, form: str, text: str, language: LanguageData, position: int) -> bool:
    """Tell whether another language writes the same text."""
    other = language_data(code)
    if form == "dates":
        return other.has_dates and other.date(draw_date("text", language.code, position), "full") == text
    return set(text.split(", ")) <= _names(code)


@cache
def _names(code: str) -> frozenset[str]:
    other = language_data(code)
    return frozenset({*other.territories.values(), *other.weekdays, *other.months})
