"""Datasets about dates as a language writes them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from cldr_rows.draw import ROWS, Row, deal, draw, pick, stable_hash
from cldr_rows.locales import LanguageData, described, language_data

__all__ = ["date_entailment", "date_months", "dates", "draw_date", "same_day"]

_PARTS = ("month", "weekday", "year")


def draw_date(*parts: object) -> datetime.date:
    """Return a date between 1960 and 2039, chosen by ``parts``."""
    return datetime.date(1960, 1, 1) + datetime.timedelta(days=stable_hash("date", *parts) % 29220)


def dates(language: LanguageData) -> Iterator[Row]:
    """Write a date, given as numbers, in the language."""
    if not language.has_dates:
        return
    for position in range(ROWS):
        date = draw_date("dates", language.code, position)
        yield {
            **described(language, date.isoformat()),
            "date": date.isoformat(),
            "year": date.year,
            "month": date.month,
            "day": date.day,
            "target": language.date(date),
        }


def date_months(language: LanguageData) -> Iterator[Row]:
    """Say, in English, which of four months a date in the language is in."""
    months = language_data("en").months
    for position in range(ROWS if language.has_dates and language.code != "en" else 0):
        date = draw_date("month of date", language.code, position)
        right = months[date.month - 1]
        choices, label = deal(right, draw(months, 3, "months", language.code, position, without=[right]), date)
        yield {
            **described(language, date.isoformat()),
            "date": language.date(date),
            "choices": choices,
            "label": label,
        }


def same_day(language: LanguageData) -> Iterator[Row]:
    """Say whether two dates, written in different ways, are the same day.

    The first is written in full by the language, the second in another of its ways, in digits, or in
    English. Where they differ, they differ in the day, the month or the year.
    """
    if not language.has_dates:
        return
    for position in range(ROWS):
        date = draw_date("same day", language.code, position)
        same = position % 2 == 0
        other = date if same else _changed(date, "same day", language.code, position)
        yield {
            **described(language, date.isoformat()),
            "first": language.date(date),
            "second": _written_otherwise(language, other, position),
            "label": int(same),
        }


def date_entailment(language: LanguageData) -> Iterator[Row]:
    """Say whether a date has this month, weekday or year."""
    if not language.has_dates:
        return
    for position in range(ROWS):
        date = draw_date("entailment", language.code, position)
        part = pick(_PARTS, "part", language.code, position)
        true = position % 2 == 0
        other = date if true else _other(date, part, language.code, position)
        value = {
            "month": language.months[other.month - 1],
            "weekday": language.weekdays[other.weekday()],
            "year": language.number(other.year),
        }[part]
        yield {
            **described(language, date.isoformat()),
            "date": language.date(date, "full"),
            "part": part,
            "value": value,
            "label": int(true),
        }


def _written_otherwise(language: LanguageData, date: datetime.date, position: int) -> str:
    """Return a date in digits, in English or with the month abbreviated, never as ``language.date`` writes it."""
    forms = [date.isoformat(), language_data("en").date(date), language.date(date, "medium")]
    forms = [form for form in forms if form != language.date(date)]
    return pick(forms, "form", language.code, position)


def _changed(date: datetime.date, *parts: object) -> datetime.date:
    """Return another date: another day of the month, another month, or another year."""
    step = 1 + stable_hash("step", *parts) % 9
    kind = pick(("day", "month", "year"), "what differs", *parts)
    if kind == "day":
        return date.replace(day=(date.day - 1 + step) % 28 + 1 if date.day <= 28 else step)
    if kind == "month":
        return date.replace(day=min(date.day, 28), month=(date.month - 1 + step) % 12 + 1)
    return date.replace(day=min(date.day, 28), year=date.year + step)


def _other(date: datetime.date, part: str, *parts: object) -> datetime.date:
    """Return a date with another month, weekday or year."""
    step = 1 + stable_hash("another", *parts) % 6
    if part == "weekday":
        return date + datetime.timedelta(days=step)
    if part == "month":
        return date.replace(day=1, month=(date.month - 1 + step) % 12 + 1)
    return date.replace(day=1, year=date.year + step)
