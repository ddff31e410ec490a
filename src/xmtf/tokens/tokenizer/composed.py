r"""Texts whose ids may differ from SentencePiece's: letters with several decomposed marks.

A tokenizer made of a ``spiece.model`` (:mod:`xmtf.tokens.tokenizer.spiece`) composes letters and marks by NFC, which
reaches over a mark that is between; SentencePiece composes what stands side by side::

    text            ا  fatha  hamza above
    NFC             أ  fatha
    SentencePiece   ا  fatha  hamza above

Such texts are counted where tokens are made and models are asked. A text in NFC has none.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

__all__ = ["composed_line", "composes", "count_composed"]


def composes(tokenizer: str) -> bool:
    """Return whether a ``tokenizer.json`` composes by NFC before the table of a ``spiece.model``."""
    if "Precompiled" not in tokenizer:
        return False
    normalizer = json.loads(tokenizer).get("normalizer") or {}
    kinds = [step.get("type") for step in normalizer.get("normalizers", ())]
    return kinds[:2] == ["NFC", "Precompiled"]


def count_composed(texts: Iterable[str]) -> int:
    r"""Return in how many texts NFC composes a letter with a mark that is not next to it.

    >>> count_composed(["\u0627\u064e\u0654", "\u0627\u0654\u064e", "e\u0301", "é", "the cat"])
    1
    """
    return sum(not text.isascii() and _reaches_over(text) for text in texts)


def composed_line(count: int) -> str:
    """Describe how many texts there were."""
    return (
        f"{count:,} texts have letters with several decomposed marks, for which the ids may differ from "
        "SentencePiece's; normalise the data to NFC"
    )


def _reaches_over(text: str) -> bool:
    if unicodedata.is_normalized("NFC", text):
        return False
    side_by_side = ""
    for letter in text:
        whole = unicodedata.normalize("NFC", side_by_side[-1:] + letter) if unicodedata.combining(letter) else ""
        side_by_side = side_by_side[:-1] + whole if side_by_side and len(whole) == 1 else side_by_side + letter
    return unicodedata.normalize("NFC", text) != side_by_side
