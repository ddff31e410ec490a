"""Datasets about numbers with their unit, and about times from now: to write them, and to tell what they say."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from cldr_rows.draw import ROWS, Row, draw
from cldr_rows.locales import LanguageData, described, language_data

__all__ = ["past_or_future", "quantities", "relative_times", "time_units"]

_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 20, 21, 24, 25, 30, 36, 40, 48, 50, 60, 75, 90, 100, 250)
_UNITS = (
    "length-kilometer", "length-meter", "length-centimeter", "mass-kilogram", "mass-gram", "volume-liter",
    "duration-second", "duration-minute", "duration-hour", "duration-day", "duration-week", "duration-month",
    "duration-year", "length-mile", "volume-milliliter", "digital-megabyte",
)  # fmt: skip
_TIMES = ("minute", "hour", "day", "week", "month", "year")
_DIRECTIONS = ("past", "future")


def quantities(language: LanguageData) -> Iterator[Row]:
    """Write a number and a unit, given in English, in the language."""
    english = language_data("en")
    for number, unit in draw(product(_NUMBERS, _UNITS), ROWS, "quantities", language.code):
        target, said = language.quantity(number, unit), english.quantity(number, unit)
        if language.code != "en" and target is not None and said is not None:
            yield {
                **described(language, target.casefold()),
                "number": number,
                "unit": said.partition(" ")[2],
                "target": target,
            }


def relative_times(language: LanguageData) -> Iterator[Row]:
    """Write a time from now, given as number, unit and direction, in the language."""
    english = language_data("en")
    for number, unit, direction, text in _times(language, "times"):
        if language.code != "en":
            yield {
                **described(language, text.casefold()),
                "number": number,
                "unit": f"{unit}s",
                "direction": direction,
                "english": english.relative_time(number, unit, direction),
                "target": text,
            }


def past_or_future(language: LanguageData) -> Iterator[Row]:
    """Say whether a time from now lies in the past (0) or the future (1)."""
    for _, _, direction, text in _times(language, "past or future"):
        yield {
            **described(language, text.casefold()),
            "text": text,
            "label": _DIRECTIONS.index(direction),
        }


def time_units(language: LanguageData) -> Iterator[Row]:
    """Say which unit a time from now counts in: minute (0), hour, day, week, month or year (5)."""
    for _, unit, _, text in _times(language, "time units"):
        yield {
            **described(language, text.casefold()),
            "text": text,
            "label": _TIMES.index(unit),
        }


def _times(language: LanguageData, purpose: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield (number, unit, direction, text); number from 2, so that no text is a word such as ``tomorrow``."""
    for number, unit, direction in draw(product(_NUMBERS[1:19], _TIMES, _DIRECTIONS), ROWS, purpose, language.code):
        text = language.relative_time(number, unit, direction)
        if text is not None:
            yield number, unit, direction, text
