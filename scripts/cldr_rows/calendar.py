"""Datasets about the order of weekdays and months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cldr_rows.draw import Row, deal, draw
from cldr_rows.locales import LanguageData, described

__all__ = ["calendar_completion", "next_in_order"]


def _cycles(language: LanguageData) -> Iterator[tuple[str, Sequence[str]]]:
    yield "weekday", language.weekdays
    yield "month", language.months


def next_in_order(language: LanguageData) -> Iterator[Row]:
    """Say which of four weekdays or months comes right after, right before, or two after another."""
    yield from _steps(language, "order", "relation", {"after": 1, "before": -1, "two after": 2}, num_wrong=3)


def calendar_completion(language: LanguageData) -> Iterator[Row]:
    """Continue a sentence with one of two weekdays or months: after today comes tomorrow."""
    yield from _steps(language, "completion", "direction", {"next": 1, "previous": -1}, num_wrong=1)


def _steps(
    language: LanguageData, purpose: str, column: str, steps: dict[str, int], *, num_wrong: int
) -> Iterator[Row]:
    for kind, names in _cycles(language):
        for place, name in enumerate(names):
            for said, step in steps.items():
                right = names[(place + step) % len(names)]
                wrong = draw(names, num_wrong, purpose, language.code, name, said, without=(name, right))
                choices, label = deal(right, wrong, language.code, name, said)
                yield {
                    **described(language, f"{name} {said}".casefold()),
                    "kind": kind,
                    "name": name,
                    column: said,
                    "choices": choices,
                    "label": label,
                }
