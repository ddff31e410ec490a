"""Fix-ups of parallel text: every dataset ends with the same four columns.

``source``, ``target``, ``source_language_name``, ``target_language_name``: one template collection
serves them all. A ``-reversed`` adapter swaps the sides.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.languages.codes import normalize_language
from xmtf.sources.adapters.base import Adapted, column, keep, language_names
from xmtf.sources.reference import SourceRef

__all__ = [
    "joined_text",
    "ntrex",
    "ntrex_headline",
    "ntrex_headline_source",
    "ntrex_reversed",
    "nusax_mt",
    "wmt",
    "wmt_reversed",
]

_WITHOUT_SPACES = ("zh", "zh-Hant", "ja")
"""Languages that put no space between sentences."""


def ntrex(ref: SourceRef, table: pa.Table) -> Adapted:
    """News segments from English into another language."""
    return _pairs(ref, table, ("source", "source_language"), ("target", "target_language"))


def ntrex_reversed(ref: SourceRef, table: pa.Table) -> Adapted:
    """News segments from another language into English."""
    return _pairs(ref, table, ("target", "target_language"), ("source", "source_language"))


def nusax_mt(ref: SourceRef, table: pa.Table) -> Adapted:
    """Reviews and posts between languages of Indonesia and English; every direction is a subset."""
    return _pairs(ref, table, ("text_1", "text_1_lang"), ("text_2", "text_2_lang"))


def joined_text(ref: SourceRef, table: pa.Table) -> Adapted:
    """Sentences of two subsets, one a language, that a `join` made one row: ``source_text`` and ``target_text``."""
    if ref.join is None or {*ref.join.subsets} != {"source", "target"}:
        raise SourceError(f"{ref}: adapter {ref.adapter!r} reads two subsets, joined as `source` and `target`")
    sources, targets = (column(ref, table, f"{side}_text") for side in ("source", "target"))
    names = [_name(ref.join.subsets[side]) for side in ("source", "target")]
    mask = [bool((a or "").strip() and (b or "").strip()) for a, b in zip(sources, targets, strict=True)]
    pairs = parallel(sources, targets, *([name] * table.num_rows for name in names))
    return keep(pairs, mask, "empty segment")


def _name(subset: str) -> str:
    """Return the name of the language of a subset; behind language and script a variant may stand (`_nort3139`)."""
    (name,) = language_names(["_".join(subset.split("_")[:2])])
    return name


def wmt(ref: SourceRef, table: pa.Table) -> Adapted:
    """News segments from the first language of the subset (``fr-en``) into the second."""
    return _wmt(ref, table, *_languages(ref))


def wmt_reversed(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`wmt`, from the second language into the first."""
    first, second = _languages(ref)
    return _wmt(ref, table, second, first)


def _languages(ref: SourceRef) -> tuple[str, str]:
    first, _, second = ref.subset.partition("-")
    return first, second


def _wmt(ref: SourceRef, table: pa.Table, source: str, target: str) -> Adapted:
    """Take both sides from the one column ``translation``, a mapping from language to text."""
    sides = column(ref, table, "translation")
    sources, targets = ([(side or {}).get(code) or "" for side in sides] for code in (source, target))
    names = [language_names([code] * len(sides)) for code in (source, target)]
    mask = [bool(a.strip() and b.strip()) for a, b in zip(sources, targets, strict=True)]
    return keep(parallel(sources, targets, *names), mask, "empty segment")


def _pairs(ref: SourceRef, table: pa.Table, source: tuple[str, str], target: tuple[str, str]) -> Adapted:
    """Build the four columns from (text column, language column) of both sides; drop empty segments."""
    (sources, source_codes), (targets, target_codes) = (
        (column(ref, table, text), column(ref, table, code)) for text, code in (source, target)
    )
    pairs = parallel(sources, targets, language_names(source_codes), language_names(target_codes))
    mask = [bool((a or "").strip() and (b or "").strip()) for a, b in zip(sources, targets, strict=True)]
    return keep(pairs, mask, "empty segment")


def parallel(sources: list[str], targets: list[str], source_names: list[str], target_names: list[str]) -> pa.Table:
    """Return the four columns that translation templates use."""
    columns: dict[str, list[Any]] = {
        "source": sources,
        "target": targets,
        "source_language_name": source_names,
        "target_language_name": target_names,
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def ntrex_headline(ref: SourceRef, table: pa.Table) -> Adapted:
    """Documents in the translated language: ``headline`` (first segment) and ``body`` (the others).

    A row is a document; its index is that of its first segment::

        id  document  target          row  headline  body
        0   a         Flood           0    Flood     Rain fell. It rose.
        1   a         Rain fell.      3    Vote      Yes won.
        2   a         It rose.
        3   b         Vote
        4   b         Yes won.
    """
    return _headlines(ref, table, "target", "target_language")


def ntrex_headline_source(ref: SourceRef, table: pa.Table) -> Adapted:
    """As :func:`ntrex_headline`, in English."""
    return _headlines(ref, table, "source", "source_language")


def _headlines(ref: SourceRef, table: pa.Table, text: str, code: str) -> Adapted:
    codes = column(ref, table, code)
    space = "" if codes and normalize_language(codes[0]) in _WITHOUT_SPACES else " "
    segments = zip(
        range(table.num_rows),
        column(ref, table, "document"),
        [(value or "").strip() for value in column(ref, table, text)],
        language_names(codes),
        strict=True,
    )
    rows, headlines, bodies, names = [], [], [], []
    for _, group in groupby(segments, key=itemgetter(1)):
        (row, _, headline, name), *rest = group
        rows.append(row)
        headlines.append(headline)
        bodies.append(space.join(segment for _, _, segment, _ in rest if segment))
        names.append(name)
    documents = pa.table({"headline": headlines, "body": bodies, "language_name": names})
    kept = keep(documents, [bool(a and b) for a, b in zip(headlines, bodies, strict=True)], "no headline or no body")
    index = np.asarray(rows, dtype=np.int64)
    return Adapted(kept.table, index if kept.rows is None else index[kept.rows], kept.dropped)
