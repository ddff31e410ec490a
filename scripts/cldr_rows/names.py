"""Datasets about names: of places, languages and currencies, in the language and in English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from babel.languages import get_official_languages

from cldr_rows.draw import ROWS, Row, deal, draw, pick
from cldr_rows.locales import LanguageData, described, language_data, tender

__all__ = ["currencies", "language_names", "official_languages", "same_place", "territories"]


def _translations(language: LanguageData, own: dict[str, str], other: dict[str, str]) -> Iterator[Row]:
    """Yield the pairs of names that differ and whose English side no second code shares, as rows."""
    shared = Counter(other.values())
    codes = [code for code in own if code in other and own[code] != other[code] and shared[other[code]] == 1]
    for code in draw(codes, ROWS, "translation", language.code):
        yield {
            **described(language, own[code].casefold()),
            "source_language_name": "English",
            "source": other[code],
            "target": own[code],
        }


def territories(language: LanguageData) -> Iterator[Row]:
    """Translate the name of a country or area: ``Germany`` -> ``Allemagne``."""
    yield from _translations(language, language.territories, language_data("en").territories)


def language_names(language: LanguageData) -> Iterator[Row]:
    """Translate the name of a language: ``German`` -> ``allemand``."""
    yield from _translations(language, language.languages, language_data("en").languages)


def currencies(language: LanguageData) -> Iterator[Row]:
    """Say which of four currencies a country uses, all names in the language.

    Wrong choices are the currencies of other countries, so that a currency of many countries is as
    often wrong as right.
    """
    used = {
        code: language.currencies[tender()[code]]
        for code in language.territories
        if code in tender() and tender()[code] in language.currencies
    }
    for code in draw(used, ROWS, "currency", language.code):
        others = [used[other] for other in draw(used, 40, "other currencies", code, language.code)]
        wrong = list(dict.fromkeys(name for name in others if name != used[code]))[:3]
        if len(wrong) < 3:
            return
        choices, label = deal(used[code], wrong, code, language.code)
        yield {
            **described(language, language.territories[code].casefold()),
            "territory": language.territories[code],
            "choices": choices,
            "label": label,
        }


def official_languages(language: LanguageData) -> Iterator[Row]:
    """Name the one official language of a country, both names in the language."""
    answers = {}
    for code in language.territories:
        official = get_official_languages(code, regional=False, de_facto=True)
        if len(official) == 1 and official[0] in language.languages:
            answers[code] = language.languages[official[0]]
    for code in draw(answers, ROWS, "official language", language.code):
        yield {
            **described(language, language.territories[code].casefold()),
            "territory": language.territories[code],
            "target": answers[code],
        }


def same_place(language: LanguageData) -> Iterator[Row]:
    """Say whether two names, one English and one of the language, are of the same country or area."""
    own, other = language.territories, language_data("en").territories
    codes = [code for code in own if code in other and own[code] != other[code]]
    for position, code in enumerate(draw(codes, ROWS, "same place", language.code)):
        same = position % 2 == 0
        named = code if same else pick([c for c in codes if c != code], "another place", code, language.code)
        yield {
            **described(language, own[code].casefold()),
            "source_language_name": "English",
            "first": other[named],
            "second": own[code],
            "label": int(same),
        }
