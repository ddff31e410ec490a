"""Datasets about lists as a language joins them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cldr_rows.draw import ROWS, Row, draw, pick, stable_hash
from cldr_rows.locales import LanguageData, described

__all__ = ["list_entailment", "list_items", "lists"]

_POSITIONS = {"first": 0, "last": -1}


def _draw_lists(language: LanguageData, purpose: str, fewest: int = 3) -> Iterator[tuple[int, list[str]]]:
    """Yield (position, ``fewest`` names of places or of languages, or one more), each name a single word."""
    if not language.has_lists:
        return
    pools = [sorted(set(names.values())) for names in (language.territories, language.languages)]
    pools = [[name for name in pool if _fits(name, language)] for pool in pools]
    pools = [pool for pool in pools if len(pool) >= 30]
    for position in range(ROWS if pools else 0):
        pool = pick(pools, purpose, "pool", language.code, position)
        count = fewest + stable_hash(purpose, "count", language.code, position) % 2
        yield position, draw(pool, count, purpose, language.code, position)


def _fits(name: str, language: LanguageData) -> bool:
    """Tell whether a name can stand anywhere in a list; Spanish ``y`` would turn into ``e`` before an i."""
    changes_and = language.code == "es" and name.casefold().removeprefix("h").startswith(("i", "í"))
    return not changes_and and len(name) <= 20 and not any(mark in name for mark in " ,()-")


def lists(language: LanguageData) -> Iterator[Row]:
    """Join names into a list as the language does."""
    for _, items in _draw_lists(language, "lists"):
        target = language.join(items)
        yield {
            **described(language, target.casefold()),
            "items": items,
            "target": target,
        }


def list_items(language: LanguageData) -> Iterator[Row]:
    """Say which item stands first or last in a list."""
    for position, items in _draw_lists(language, "items"):
        place = pick(tuple(_POSITIONS), "place", language.code, position)
        choices = _shuffled(items, "choices", language.code, position)
        yield {
            **described(language, " ".join(sorted(items)).casefold()),
            "list": language.join(items),
            "place": place,
            "choices": choices,
            "label": choices.index(items[_POSITIONS[place]]),
        }


def list_entailment(language: LanguageData) -> Iterator[Row]:
    """Say whether a name stands in a list."""
    for position, items in _draw_lists(language, "entailment", fewest=4):
        *listed, absent = items
        true = position % 2 == 0
        yield {
            **described(language, " ".join(sorted(listed)).casefold()),
            "list": language.join(listed),
            "name": pick(listed, "name", language.code, position) if true else absent,
            "label": int(true),
        }


def _shuffled(items: Sequence[str], *parts: object) -> list[str]:
    return draw(items, len(items), *parts)
