"""The 21 datasets that are made of CLDR: what ``scripts/make_cldr.py`` writes and ``xmtf.sources.cldr`` reads.

babel carries CLDR; the package xmtf ships the rows and asks babel for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cldr_rows import calendar, dates, kinds, lists, names, quantities
from cldr_rows.draw import Row
from cldr_rows.locales import LanguageData

__all__ = ["BUILDERS", "FEWEST_ROWS"]

FEWEST_ROWS = 3
"""A language takes part in a dataset where each split has this many rows."""

BUILDERS: dict[str, Callable[[LanguageData], Iterator[Row]]] = {
    "calendar-completion": calendar.calendar_completion,
    "currencies": names.currencies,
    "date-entailment": dates.date_entailment,
    "date-months": dates.date_months,
    "dates": dates.dates,
    "kinds": kinds.kinds,
    "languages": names.language_names,
    "list-entailment": lists.list_entailment,
    "list-items": lists.list_items,
    "lists": lists.lists,
    "next-in-order": calendar.next_in_order,
    "odd-one-out": kinds.odd_one_out,
    "official-languages": names.official_languages,
    "past-or-future": quantities.past_or_future,
    "quantities": quantities.quantities,
    "relative-times": quantities.relative_times,
    "same-day": dates.same_day,
    "same-place": names.same_place,
    "territories": names.territories,
    "time-units": quantities.time_units,
    "which-language": kinds.which_language,
}
"""Name of a dataset, without ``cldr/`` -> what yields its rows of one language."""
