"""Fonts for text in any script, found among those that are installed.

matplotlib shapes text with libraqm (from 3.11 on: Arabic joined and right to left, Indic and Southeast Asian
clusters formed) but draws boxes for what its fonts lack. Here every character is given a font that has it, or
the one that is missing is named.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache

from xmtf.errors import UserError

__all__ = ["MONOSPACE", "SANS", "MissingFontError", "font_families", "is_right_to_left", "printable"]

SANS = "DejaVu Sans"
MONOSPACE = "DejaVu Sans Mono"
_JOINERS = "\u200c\u200d"  # they shape the letters beside them
_EAST_ASIAN = frozenset({"BOPOMOFO", "CJK", "FULLWIDTH", "HALFWIDTH", "HANGUL", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA"})


class MissingFontError(UserError):
    """No installed font has a character that a figure shows.

    Args:
        script: Such as ``Telugu``.
        character: One character that is missing.
    """

    def __init__(self, script: str, character: str) -> None:
        font, package = (
            ("Noto Sans CJK", "fonts-noto-cjk") if script == "CJK" else (f"Noto Sans {script}", "fonts-noto-core")
        )
        super().__init__(
            f"no installed font has {script} (it lacks U+{ord(character):04X}): install {font}, "
            f"on Debian `apt-get install {package}`"
        )


def printable(text: str) -> str:
    """Return ``text`` without the characters that are drawn as nothing: controls but line ends, and marks of format."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(
        c for c in text if c == "\n" or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def is_right_to_left(text: str) -> bool:
    """Tell whether the first letter with a direction reads from right to left."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def font_families(text: str, first: str = SANS) -> list[str]:
    """Return installed font families that have every character of ``text`` between them, best first.

    Raises:
        MissingFontError: A character is in none of them.
    """
    families = [first]
    for script, characters in _by_script(text).items():
        missing = [c for c in characters if not any(_has(family, c) for family in families)]
        if not missing:
            continue
        found = next((family for family in _candidates(script, text) if all(_has(family, c) for c in missing)), None)
        if found is None:
            raise MissingFontError(script, next((c for c in missing if not _anywhere(c)), missing[0]))
        families.append(found)
    return families


def _by_script(text: str) -> dict[str, list[str]]:
    scripts: dict[str, list[str]] = {}
    for character in dict.fromkeys(text):
        if character != "\n" and character not in _JOINERS:
            scripts.setdefault(_script(character), []).append(character)
    return scripts


def _script(character: str) -> str:
    word = unicodedata.name(character, "UNNAMED").split()[0]
    if word in _EAST_ASIAN:
        return "CJK"
    return word.capitalize() if unicodedata.category(character)[0] in "LM" else "Symbols"


def _candidates(script: str, text: str) -> Iterable[str]:
    """Yield installed families to look in: the usual one of the script, then every other."""
    usual = [f"Noto Sans {script}", f"Noto Serif {script}", "Noto Sans Symbols", "Noto Sans Symbols 2", "Noto Sans"]
    if script == "CJK":
        kana = any(unicodedata.name(c, "").startswith(("HIRAGANA", "KATAKANA")) for c in text)
        hangul = any(unicodedata.name(c, "").startswith("HANGUL") for c in text)
        form = "JP" if kana else "KR" if hangul else "SC"
        usual = [f"Noto Sans CJK {name}" for name in (form, "SC", "JP", "KR", "TC")]
    installed = _installed()
    yield from (name for name in usual if name in installed)
    yield from (name for name in sorted(installed) if name not in usual)


@cache
def _installed() -> frozenset[str]:
    from matplotlib.font_manager import fontManager

    return frozenset(entry.name for entry in fontManager.ttflist if not entry.name.startswith((".", "Last Resort")))


@cache
def _has(family: str, character: str) -> bool:
    from matplotlib.font_manager import FontProperties, fontManager, get_font

    path = fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False)
    return bool(get_font(path).get_char_index(ord(character)))


def _anywhere(character: str) -> bool:
    return any(_has(family, character) for family in sorted(_installed()))
