"""Datasets about the order of weekdays and months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cldr_rows.draw import Row, deal, draw
from cldr_rows.locales import LanguageData

__all__ = ["calendar_completion", "next_in_order"]

_STEPS = {"after": 1, "before": -1, "two after": 2}


def _cycles(language: LanguageData) -> Iterator[tuple[str, Sequence[str]]]:
    yield "weekday", language.weekdays
    yield "month", language.months


def next_in_order(language: LanguageData) -> Iterator[Row]:
    """Say which of four weekdays or months comes right after, right before, or two after another."""
    for kind, names in _cycles(language):
        for place, name in enumerate(names):
            for relation, step in _STEPS.items():
                right = names[(place + step) % len(names)]
                wrong = draw(names, 3, "order", language.code, name, relation, without=(name, right))
                choices, label = deal(right, wrong, language.code, name, relation)
                yield {
                    "key": f"{name} {relation}".casefold(),
                    "language": language.code,
                    "language_name": language.english_name,
                    "kind": kind,
                    "name": name,
                    "relation": relation,
                    "choices": choices,
                    "label": label,
                }


def calendar_completion(language: LanguageData) -> Iterator[Row]:
    """Continue a sentence with one of two weekdays or months: after today comes tomorrow."""
    for kind, names in _cycles(language):
        for place, name in enumerate(names):
            for direction, step in (("next", 1), ("previous", -1)):
                right = names[(place + step) % len(names)]
                wrong = draw(names, 1, "completion", language.code, name, direction, without=(name, right))
                choices, label = deal(right, wrong, language.code, name, direction)
                yield {
                    "key": f"{name} {direction}".casefold(),
                    "language": language.code,
                    "language_name": language.english_name,
                    "kind": kind,
                    "name": name,
                    "direction": direction,
                    "choices": choices,
                    "label": label,
                }
