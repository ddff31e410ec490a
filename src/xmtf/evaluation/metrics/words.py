"""Words of any script, for metrics that compare words.

Tokenisers written for English either drop what is not ``[a-z0-9]`` (Google's ROUGE) or split at
white space, which Chinese, Japanese, Thai, Lao, Khmer, Burmese and others do not write. Here a word is a
run of letters, marks and digits; in those scripts each character with its marks is a word.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

__all__ = ["is_punctuation", "is_unspaced", "words"]

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0x3040, 0x312F),  # kana, bopomofo
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA000, 0xA4CF),  # Yi
    (0xA980, 0xA9FF),  # Javanese, Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),  # Han
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x3FFFF),
)


def words(text: str) -> list[str]:
    """Return the lower-cased words of a text in any script.

    >>> words("L'été, 25°C!"), words("我在家 now"), words("किताब पढ़ो।")
    (['l', 'été', '25', 'c'], ['我', '在', '家', 'now'], ['किताब', 'पढ़ो'])
    """
    found: list[str] = []
    joined = False
    for character in unicodedata.normalize("NFC", text.lower()):
        kind = _kind(character)
        if kind == "other":
            joined = False
        elif (kind == "mark" and found) or (kind == "word" and joined):
            found[-1] += character
        else:
            found.append(character)
            joined = kind != "alone"
    return found


@lru_cache(maxsize=65536)
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] == "M":
        return "mark"
    if category[0] not in "LN":
        # Joiners inside a word (Persian, Sinhala) are no boundary.
        return "mark" if character in "\u200c\u200d" else "other"
    return "alone" if is_unspaced(character) else "word"


@lru_cache(maxsize=65536)
def is_unspaced(character: str) -> bool:
    """Return whether a character is of a script that puts no spaces between words."""
    code = ord(character)
    return any(low <= code <= high for low, high in _UNSPACED)


@lru_cache(maxsize=65536)
def is_punctuation(character: str) -> bool:
    """Return whether a character is punctuation, or an ASCII symbol such as ``$``, ``+`` and ``~`` (as in SQuAD)."""
    return unicodedata.category(character)[0] == "P" or (
        ord(character) < 128 and unicodedata.category(character)[0] == "S"
    )
