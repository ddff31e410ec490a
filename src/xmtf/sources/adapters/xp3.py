"""Fix-ups of the multilingual datasets of xP3 that its builders make before applying templates.

The columns are those that the templates of promptsource's fork ask for. What the builders drew at
random or sorted in vain is drawn from a hash of the row, or sorted to effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import SourceError
from xmtf.sources.adapters.base import Adapted, column, keep, language_names, with_column
from xmtf.sources.adapters.released_names import flores_names, iso_names
from xmtf.sources.reference import SourceRef

__all__ = [
    "flores",
    "hidden_labels",
    "multi_eurlex",
    "tatoeba",
    "tatoeba_inverted",
    "wiki_lingua",
    "wmt22",
    "wmt22_inverted",
]


def flores(ref: SourceRef, table: pa.Table) -> Adapted:
    """Name the languages of a pair ``<l1>-<l2>`` and rename ``sentence_<l1>`` and ``sentence_<l2>``.

    Adds ``source``, ``target``, ``source_language_name`` and ``target_language_name``.
    """
    first, second = _halves(ref, "-")
    names = flores_names([first, second])
    table = with_column(table, "source", column(ref, table, f"sentence_{first}"))
    table = with_column(table, "target", column(ref, table, f"sentence_{second}"))
    return Adapted(_with_names(table, names[0], names[1]))


def tatoeba(ref: SourceRef, table: pa.Table) -> Adapted:
    """Name the languages of both sides from ``sourceLang`` and ``targetlang``; drop empty sentences."""
    return _tatoeba(ref, table, inverted=False)


def tatoeba_inverted(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`tatoeba`, with ``sourceString`` and ``targetString`` swapped, and the names with them."""
    return _tatoeba(ref, table, inverted=True)


def _tatoeba(ref: SourceRef, table: pa.Table, *, inverted: bool) -> Adapted:
    first, second = _halves(ref, "-")
    names = [
        iso_names([str(code or fallback) for code in column(ref, table, name)])
        for name, fallback in (("sourceLang", first), ("targetlang", second))
    ]
    texts = [column(ref, table, name) for name in ("sourceString", "targetString")]
    if inverted:
        names.reverse()
        texts.reverse()
    for name, values in zip(("sourceString", "targetString"), texts, strict=True):
        table = with_column(table, name, values)
    table = with_column(table, "source_language_name", names[0])
    table = with_column(table, "target_language_name", names[1])
    return keep(table, [bool(a and b) for a, b in zip(*texts, strict=True)], "empty sentence")


def wmt22(ref: SourceRef, table: pa.Table) -> Adapted:
    """Take apart ``translation`` of the 50,000 pairs with the highest ``laser_score``, which are all that get here.

    Adds ``source``, ``target`` and their language names. The original shuffled after sorting, so that
    its 50,000 were random ones.
    """
    return _wmt22(ref, table, inverted=False)


def wmt22_inverted(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`wmt22`, in the other direction."""
    return _wmt22(ref, table, inverted=True)


def _wmt22(ref: SourceRef, table: pa.Table, *, inverted: bool) -> Adapted:
    codes = list(_halves(ref, "-"))
    if inverted:
        codes.reverse()
    pairs = [pair or {} for pair in column(ref, table, "translation")]
    names = iso_names(codes)
    for name, code in zip(("source", "target"), codes, strict=True):
        table = with_column(table, name, [pair.get(code) for pair in pairs])
    return Adapted(_with_names(table, names[0], names[1]))


def multi_eurlex(ref: SourceRef, table: pa.Table) -> Adapted:
    """Give the pair ``<l1>-<l2>`` its columns ``l1``, ``l2``, ``l1_name`` and ``l2_name``.

    The texts come from the column ``text`` (language -> text) where ``l1`` and ``l2`` are not there yet;
    rows that lack one of the two languages are dropped.
    """
    codes = _halves(ref, "-")
    for name, code in zip(("l1", "l2"), codes, strict=True):
        if name not in table.column_names:
            texts = [(text or {}).get(code) for text in column(ref, table, "text")]
            table = with_column(table, name, texts)
    for name, language in zip(("l1_name", "l2_name"), language_names(codes), strict=True):
        table = with_column(table, name, [language] * table.num_rows)
    pairs = zip(column(ref, table, "l1"), column(ref, table, "l2"), strict=True)
    return keep(table, [bool(a and b) for a, b in pairs], "not in both languages")


def wiki_lingua(ref: SourceRef, table: pa.Table) -> Adapted:
    """Name the languages; in a crosslingual subset ``<l1>_<l2>`` keep only the rows of that direction."""
    sources, targets = (
        [str(code) for code in column(ref, table, name)] for name in ("source_language", "target_language")
    )
    table = with_column(table, "source_language_name", iso_names(sources))
    table = with_column(table, "target_language_name", iso_names(targets))
    if "_" not in ref.subset:
        return Adapted(table)
    wanted = _halves(ref, "_")
    return keep(table, [pair == wanted for pair in zip(sources, targets, strict=True)], "the other direction")


def hidden_labels(ref: SourceRef, table: pa.Table) -> Adapted:
    """Drop rows whose ``label`` is hidden (-1): templates would turn it into the last answer choice."""
    if "label" not in table.column_names:
        raise SourceError(f"{ref}: adapter {ref.adapter!r} needs the column 'label'")
    shown = pc.fill_null(pc.not_equal(table.column("label"), -1), False)
    return keep(table, np.asarray(shown.to_pylist(), dtype=bool), "hidden label")


def _halves(ref: SourceRef, mark: str) -> tuple[str, str]:
    first, found, second = ref.subset.partition(mark)
    if not found or not first or not second:
        raise SourceError(f"{ref}: adapter {ref.adapter!r} needs a subset of two languages, such as eng{mark}fra")
    return first, second


def _with_names(table: pa.Table, source: str, target: str) -> pa.Table:
    names: tuple[tuple[str, Any], ...] = (("source_language_name", source), ("target_language_name", target))
    for name, value in names:
        table = with_column(table, name, [value] * table.num_rows)
    return table
