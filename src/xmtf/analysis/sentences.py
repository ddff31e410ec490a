"""Cut a text into sentences, in any script, without knowing its language.

A sentence ends at a mark that ends sentences (Latin, CJK, Devanagari, Arabic, Ethiopic, Burmese ...) or
at a line end. Unlike in plain English text no white space is needed after the mark, because many
scripts write none; a full stop between digits ends nothing.

::

    "Das kostet 3.50 Euro.Wirklich? 本当に。はい"
    "Das kostet 3.50 Euro."  "Wirklich?"  "本当に。"  "はい"
"""

from __future__ import annotations

import re

from xmtf.languages.codes import SENTENCE_MARKS

__all__ = ["split_sentences"]

_END = re.compile(rf"(?:[{re.escape(SENTENCE_MARKS)}]+[\"'»”’)\]」』]*(?!(?<=\.)\d))|\n+")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, stripped; parts without a letter are left out."""
    parts, start = [], 0
    for end in _END.finditer(text):
        parts.append(text[start : end.end()])
        start = end.end()
    parts.append(text[start:])
    return [part.strip() for part in parts if any(char.isalpha() for char in part)]
