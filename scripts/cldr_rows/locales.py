"""What CLDR really says about a language: names, patterns, dates, and nothing that it falls back to.

Where CLDR has no value of a language, babel answers with the value of ``root`` (``M01``, ``+{0} d``)
or with an English name. Neither is that language's, so everything here is empty instead.
"""

from __future__ import annotations

import csv
import datetime
import re
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import babel
from babel import localedata
from babel.dates import format_date
from babel.lists import format_list
from babel.numbers import get_territory_currencies

from xmtf.errors import UnknownNameError
from xmtf.languages.codes import get_language, language_set

__all__ = ["LanguageData", "described", "known_languages", "language_data", "offered_languages", "plain", "tender"]

_LANGUAGES = Path(__file__).with_name("languages.csv")

_DIGITS = {
    "arab": 0x660, "arabext": 0x6F0, "beng": 0x9E6, "deva": 0x966, "mymr": 0x1040,
}  # fmt: skip
"""Code point of zero in the numbering systems that our languages write by default."""

_UNTYPED = {0xA0: " ", 0x2009: " ", 0x202F: " ", 0x200B: None, 0x200E: None, 0x200F: None, 0x061C: None}

_NO_PLACES = {"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ"}


@cache
def known_languages() -> dict[str, str]:
    """Return our code -> CLDR locale of every language of the source."""
    with _LANGUAGES.open(encoding="utf-8", newline="") as stream:
        return {row["code"]: row["locale"] for row in csv.DictReader(stream)}


@cache
def offered_languages() -> tuple[str, ...]:
    """Return the languages whose names are offered as wrong answers: those that the demo trains on.

    A name that is only ever a wrong answer in training gives itself away, and tells something about a
    language that a recipe holds out.
    """
    with _LANGUAGES.open(encoding="utf-8", newline="") as stream:
        return tuple(row["code"] for row in csv.DictReader(stream) if row["offered"] == "yes")


@cache
def language_data(code: str) -> LanguageData:
    """Return what CLDR says about a language.

    Raises:
        UnknownNameError: The source does not have the language.
    """
    locales = known_languages()
    if code not in locales:
        raise UnknownNameError("language", code, locales, "the CLDR source")
    _isolate(locales[code])
    locale = babel.Locale.parse(locales[code])
    _ = locale.territories  # a locale reads its data when it is first asked: now, while they are its own
    return LanguageData(code, locale)


def _isolate(locale: str) -> None:
    """Give a locale its own copy of what it shares with ``root``, whoever asked babel for what before.

    babel stores the value of an alias where it found the alias, which may be in the data of ``root``:
    after Azerbaijani was read, French months would be Azerbaijani (babel 2.18).
    """
    data = _fresh(locale)
    for key, value in data.items():
        data[key] = _copied(value)


def _fresh(locale: str) -> Any:
    """Return the data of a locale as they are on disk."""
    localedata._cache.clear()
    return localedata.load(locale)


def _copied(value: Any) -> Any:
    return {key: _copied(child) for key, child in value.items()} if isinstance(value, dict) else value


class LanguageData:
    """The CLDR data of one language, each kind of it empty where CLDR has none of its own.

    Args:
        code: Our language code.
        locale: Its CLDR locale.
    """

    def __init__(self, code: str, locale: babel.Locale) -> None:
        self.code = code
        self.locale = locale
        self._data = localedata.LocaleDataDict(localedata.load(str(locale)))

    @cached_property
    def english_name(self) -> str:
        """Name of the language in English, such as ``Traditional Chinese``."""
        names = language_data("en").locale.languages
        return str(names[str(self.locale)] if str(self.locale) in names else names[self.locale.language])

    @cached_property
    def months(self) -> tuple[str, ...]:
        """Names of the twelve months, as they stand alone."""
        return self._calendar(self.locale.months, range(1, 13), fallback="M01")

    @cached_property
    def weekdays(self) -> tuple[str, ...]:
        """Names of the seven weekdays, from Monday."""
        return self._calendar(self.locale.days, range(7), fallback="Mon")

    def _calendar(
        self, names: Mapping[str, Mapping[str, Mapping[int, str]]], keys: range, fallback: str
    ) -> tuple[str, ...]:
        wide = [names["stand-alone"]["wide"][key] for key in keys]
        if wide[0] == fallback:
            wide = [names["format"]["wide"][key] for key in keys]
        own = wide[0] != fallback and len(set(wide)) == len(wide)
        return tuple(plain(name) for name in wide) if own else ()

    @cached_property
    def territories(self) -> dict[str, str]:
        """ISO 3166 code -> name of countries and areas; those written as in English are left out."""
        names = self._differing(self.locale.territories, language_data("en").locale.territories)
        return {code: name for code, name in names.items() if len(code) == 2 and code not in _NO_PLACES}

    @cached_property
    def languages(self) -> dict[str, str]:
        """Language code -> name, of the languages of xP3x and mT5; those written as in English are left out."""
        names = self._differing(self.locale.languages, language_data("en").locale.languages)
        return {code: name for code, name in names.items() if code in _common_languages()}

    @cached_property
    def currencies(self) -> dict[str, str]:
        """ISO 4217 code -> name, of today's currencies; those written as in English are left out."""
        names = self._differing(self.locale.currencies, language_data("en").locale.currencies)
        return {code: name for code, name in names.items() if code in tender().values()}

    def _differing(self, own: Mapping[str, str], english: Mapping[str, str]) -> dict[str, str]:
        return {
            code: plain(name)
            for code, name in sorted(own.items())
            if code in english and name != code and (self.code == "en" or name.casefold() != english[code].casefold())
        }

    @cached_property
    def unit_names(self) -> dict[str, str]:
        """Unit id -> name of the unit (``kilomètres``); those written as in English are left out."""
        english = _english_units()
        names = {unit: self._data["unit_display_names"].get(unit, {}).get("long", "") for unit in english}
        return {
            unit: plain(name) for unit, name in names.items() if name and (self.code == "en" or name != english[unit])
        }

    def quantity(self, number: int, unit: str) -> str | None:
        """Return a number with a unit, such as ``3 kilomètres``, or None where CLDR has no long form."""
        patterns = self._data["unit_patterns"].get(unit, {}).get("long", {})
        path = ("unit_patterns", unit, "long")
        return self._counted(patterns, number, barred=_patterns("root", *path) | _patterns("en", *path))

    def relative_time(self, number: int, unit: str, direction: str) -> str | None:
        """Return a time from now, such as ``dans 3 jours``, or None where CLDR has none.

        Args:
            number: How many of the unit.
            unit: ``year``, ``month``, ``week``, ``day``, ``hour`` or ``minute``.
            direction: ``future`` or ``past``.
        """
        patterns = self._data["date_fields"].get(unit, {}).get(direction, {})
        path = ("date_fields", unit, direction)
        barred = _patterns("root", *path) | _patterns("en", *path)
        return self._counted(patterns, number, barred)

    def _counted(self, patterns: Mapping[str, str], number: int, barred: frozenset[str]) -> str | None:
        pattern = patterns.get(self.locale.plural_form(number), patterns.get("other"))
        if pattern is None or (pattern in barred and self.code != "en") or "{0}" not in pattern:
            return None
        borrowed = get_language(self.code).script != "Latn" and re.search("[A-Za-z]", pattern)
        if borrowed or pattern.startswith(("+", "-")):  # Pashto ``{0} h``, Māori ``+{0} rā``: half filled in
            return None
        return self._written(pattern.replace("{0}", str(number)))

    @cached_property
    def has_dates(self) -> bool:
        """Whether CLDR has date formats, months and weekdays of this language."""
        root = _fresh("root")["date_formats"]
        own = any(str(self.locale.date_formats[style]) != str(root[style]) for style in root)
        return bool(own and self.months and self.weekdays)

    def date(self, date: datetime.date, style: str = "long") -> str:
        """Return a date as the language writes it.

        Args:
            date: Gregorian date.
            style: ``full`` (with the weekday), ``long`` or ``medium`` (month abbreviated).
        """
        return self._written(format_date(date, style, locale=self.locale))

    @cached_property
    def has_lists(self) -> bool:
        """Whether CLDR says how this language joins the items of a list."""
        patterns = self.locale.list_patterns["standard"]
        borrowed = self.code != "en" and " and " in patterns["end"]
        return patterns["end"] != "{0}, {1}" and not borrowed

    def join(self, items: Sequence[str]) -> str:
        """Return items as the language lists them: ``Kenya, Pérou et Japon``."""
        return plain(format_list(items, locale=self.locale))

    def number(self, number: int) -> str:
        """Return a whole number in the digits of the language."""
        return self._written(str(number))

    def _written(self, text: str) -> str:
        """Return ``text`` in plain spaces, with the digits that the language writes by default."""
        zero = _DIGITS.get(self.locale.default_numbering_system)
        if zero is not None:
            text = text.translate({ord("0") + digit: zero + digit for digit in range(10)})
        return plain(text)


def plain(text: str) -> str:
    """Return ``text`` without what nobody types: other spaces than the plain one, marks of direction and of breaks."""
    return text.translate(_UNTYPED).strip()


@cache
def tender() -> dict[str, str]:
    """Return territory -> its one currency, for the territories that have one on a fixed day."""
    today = datetime.date(2024, 1, 1)
    territories = language_data("en").territories
    found = {code: get_territory_currencies(code, start_date=today, end_date=today) for code in territories}
    return {code: currencies[0] for code, currencies in found.items() if len(currencies) == 1}


@cache
def _common_languages() -> frozenset[str]:
    return frozenset({*language_set("xp3x"), *language_set("mt5")})


@cache
def _english_units() -> dict[str, str]:
    """Return unit id -> English name, of the units whose name is one word."""
    data = localedata.LocaleDataDict(_fresh("en"))
    names = {unit: names.get("long", "") for unit, names in sorted(data["unit_display_names"].items())}
    return {unit: name for unit, name in names.items() if name.isalpha()}


@cache
def _patterns(locale: str, *path: str) -> frozenset[str]:
    """Return what stands at a path of a locale; the root locale and English have none of another language's own."""
    node = localedata.LocaleDataDict(_fresh(locale))
    for key in path:
        node = node.get(key, {})
    return frozenset(node.values())


def described(language: LanguageData, key: str) -> dict[str, str]:
    """Return what every row begins with: the text whose hash decides its split, and its language."""
    return {"key": key, "language": language.code, "language_name": language.english_name}
