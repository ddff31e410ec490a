"""Names of languages as the prompts of xP3 and xP3x spell them.

The originals took them from two tables: their own for FLORES (``Chinese (Traditional)``), ISO 639 for the rest
(``Swahili (individual language)``). ``released_names.csv`` has both; a language that is in neither keeps our name.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from xmtf.sources.adapters.base import language_names

__all__ = ["flores_names", "iso_names"]

_FILE = Path(__file__).with_suffix(".csv")


def flores_names(codes: Sequence[str]) -> list[str]:
    """Return the names of FLORES codes.

    >>> flores_names(["zho_Hant", "arb_Latn", "fra_Latn"])
    ['Chinese (Traditional)', 'Modern Standard Arabic (Romanized)', 'French']
    """
    known = _table("flores")
    return [known.get(code) or language_names([code])[0] for code in codes]


def iso_names(codes: Sequence[str]) -> list[str]:
    """Return the names of ISO 639 codes of two or three letters, with or without a script.

    What ISO does not name, such as groups of languages, is looked up in the table of FLORES.

    >>> iso_names(["cmn_Hans", "swh", "ar", "ber_Tfng"])
    ['Mandarin Chinese', 'Swahili (individual language)', 'Arabic', 'Berber (Tifinagh script)']
    """
    names = {code: _iso_name(code) for code in set(codes)}
    return [names[code] for code in codes]


def _iso_name(code: str) -> str:
    iso = _table("iso")
    return iso.get(code) or iso.get(code.partition("_")[0]) or flores_names([code])[0]


@cache
def _table(name: str) -> dict[str, str]:
    with _FILE.open(encoding="utf-8", newline="") as stream:
        return {row["code"]: row["name"] for row in csv.DictReader(stream) if row["table"] == name}
