"""The embedded source: real multilingual data from CLDR, made in seconds and without a network.

The Common Locale Data Repository holds, for hundreds of languages and checked by their speakers, names
of countries, languages, currencies, months and units, and how dates, lists and quantities are written.
babel carries it. Each dataset here is a task with checkable answers on that data: ``cldr/<name>``, one
subset per language, splits ``train`` and ``test``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.errors import SourceError, UnknownNameError
from xmtf.files import content_hash, file_sha256
from xmtf.sources.cldr.draw import SPLITS, split_rows

if TYPE_CHECKING:
    import pyarrow as pa

    from xmtf.sources.cldr.draw import Row
    from xmtf.sources.cldr.locales import LanguageData

__all__ = ["cldr_datasets", "cldr_fingerprint", "cldr_languages", "read_cldr"]

_PREFIX = "cldr/"
_FEWEST_ROWS = 3
"""A language takes part in a dataset where each split has this many rows."""


def cldr_datasets() -> tuple[str, ...]:
    """Return the names of the datasets, such as ``cldr/dates``."""
    return tuple(f"{_PREFIX}{name}" for name in sorted(_builders()))


def cldr_languages(dataset: str = "") -> tuple[str, ...]:
    """Return the codes of the languages that a dataset has, or that any has, sorted.

    Raises:
        UnknownNameError: No such dataset.
    """
    from xmtf.sources.cldr.locales import known_languages

    codes = sorted(known_languages())
    if not dataset:
        return tuple(codes)
    _name(dataset)
    return tuple(code for code in codes if _has_rows(dataset, code))


def read_cldr(dataset: str, subset: str, split: str) -> pa.Table:
    """Return the rows of one dataset, language and split; the same bytes on every machine.

    Args:
        dataset: Such as ``cldr/dates``.
        subset: Language code, such as ``fr``.
        split: ``train`` or ``test``; no key fact of one is in the other.

    Raises:
        UnknownNameError: No such dataset, language or split.
        SourceError: CLDR has too little of its own about this language for the dataset.
    """
    from xmtf.sources.cldr.locales import known_languages

    _name(dataset)
    if subset not in known_languages():
        raise UnknownNameError("language", subset, known_languages(), dataset)
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS, dataset)
    if not _has_rows(dataset, subset):
        raise SourceError(f"{dataset}: CLDR has too little of its own about {subset!r}; take another language")
    return _tables(dataset, subset)[split]


@cache
def cldr_fingerprint() -> str:
    """Return a hash of the CLDR release (that of babel) and of the code that makes the datasets."""
    import babel

    files = sorted(path for path in Path(__file__).parent.iterdir() if path.suffix in {".py", ".csv"})
    return content_hash({"babel": babel.__version__, "files": {path.name: file_sha256(path) for path in files}})


def _name(dataset: str) -> str:
    name = dataset.removeprefix(_PREFIX)
    if name not in _builders() or name == dataset:
        raise UnknownNameError("CLDR dataset", dataset, cldr_datasets())
    return name


def _has_rows(dataset: str, code: str) -> bool:
    return all(table.num_rows >= _FEWEST_ROWS for table in _tables(dataset, code).values())


@cache
def _tables(dataset: str, code: str) -> dict[str, pa.Table]:
    from xmtf.sources.cldr.locales import language_data

    return split_rows(_builders()[_name(dataset)](language_data(code)))


@cache
def _builders() -> dict[str, Callable[[LanguageData], Iterator[Row]]]:
    from xmtf.sources.cldr import calendar, dates, kinds, lists, names, quantities

    return {
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
