"""Datasets about numbers with their unit, and about times from now."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from xmtf.sources.cldr.draw import ROWS, Row, draw
from xmtf.sources.cldr.locales import LanguageData, language_data

__all__ = ["quantities", "relative_times"]

_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 20, 21, 24, 25, 30, 36, 40, 48, 50, 60, 75, 90, 100, 250)
_UNITS = (
    "length-kilometer", "length-meter", "length-centimeter", "mass-kilogram", "mass-gram", "volume-liter",
    "duration-second", "duration-minute", "duration-hour", "duration-day", "duration-week", "duration-month",
    "duration-year", "length-mile", "volume-milliliter", "digital-megabyte",
)  # fmt: skip
_TIMES = ("minute", "hour", "day", "week", "month", "year")


def quantities(language: LanguageData) -> Iterator[Row]:
    """Write a number and a unit, given in English, in the language."""
    english = language_data("en")
    for number, unit in draw(product(_NUMBERS, _UNITS), ROWS, "quantities", language.code):
        target, said = language.quantity(number, unit), english.quantity(number, unit)
        if language.code != "en" and target is not None and said is not None:
            yield {
                "key": target.casefold(),
                "language": language.code,
                "language_name": language.english_name,
                "number": number,
                "unit": said.partition(" ")[2],
                "target": target,
            }


def relative_times(language: LanguageData) -> Iterator[Row]:
    """Write a time from now, given as number, unit and direction, in the language."""
    english, numbers = language_data("en"), _NUMBERS[1:19]
    for number, unit, direction in draw(product(numbers, _TIMES, ("future", "past")), ROWS, "times", language.code):
        target, said = language.relative_time(number, unit, direction), english.relative_time(number, unit, direction)
        if language.code != "en" and target is not None and said is not None:
            yield {
                "key": target.casefold(),
                "language": language.code,
                "language_name": language.english_name,
                "number": number,
                "unit": f"{unit}s",
                "direction": direction,
                "english": said,
                "target": target,
            }
