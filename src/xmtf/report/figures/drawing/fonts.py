"""Fonts for text in any script, found among those that are installed.

matplotlib shapes text with libraqm (from 3.11 on: Arabic joined and right to left, Indic and Southeast Asian
clusters formed) but draws boxes for what its fonts lack. Here every character is given a font that has it, or
the one that is missing is named.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from fontTools.unicodedata import script_code
from matplotlib.font_manager import fontManager, get_font, weight_dict

from xmtf.errors import UserError

__all__ = ["MONOSPACE", "SANS", "MissingFontError", "font_families", "is_right_to_left", "printable"]

SANS = "DejaVu Sans"
MONOSPACE = "DejaVu Sans Mono"
_JOINERS = "\u200c\u200d"  # they shape the letters beside them
_EAST_ASIAN = frozenset({"BOPOMOFO", "CJK", "FULLWIDTH", "HALFWIDTH", "HANGUL", "HIRAGANA", "IDEOGRAPHIC", "KATAKANA"})


_NAMES = {"Canadian": "Canadian Aboriginal", "Meetei": "Meetei Mayek", "Nko": "NKo", "Ol": "Ol Chiki"}
"""Scripts whose name is not the first word of their characters' names."""
_PICTURES = range(0x1F000, 0x20000)
"""Emoji and the like. New ones come every year, and no package of fonts in black has them all."""


class MissingFontError(UserError):
    """No installed font has a character that a figure shows.

    Args:
        script: Such as ``Telugu``.
        character: One character that is missing.
    """

    code = "missing-font"
    remedy = "Install the named font, such as one of Noto's; figures without it are skipped."

    def __init__(self, script: str, character: str) -> None:
        script = _NAMES.get(script, script)
        package = "fonts-noto-cjk" if script == "CJK" else "fonts-noto-core"
        super().__init__(
            f"no installed font has {script} (it lacks U+{ord(character):04X}): install Noto Sans {script}, "
            f"on Debian `apt-get install {package}`"
        )


def printable(text: str) -> str:
    """Return ``text`` without the characters that are drawn as nothing: controls but line ends, and marks of format.

    An emoji that no installed font has becomes its number, such as ``[U+1F916]``.
    """
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(
        c if ord(c) not in _PICTURES or _anywhere(c) else f"[U+{ord(c):04X}]"
        for c in text
        if c == "\n" or c in _JOINERS or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )


def is_right_to_left(text: str) -> bool:
    """Return whether the first letter with a direction reads from right to left."""
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
    named = unicodedata.category(character)[0] in "LM" or script_code(word.capitalize(), default=None) is not None
    return word.capitalize() if named else "Symbols"


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


def _installed() -> frozenset[str]:
    return frozenset(_files())


@cache
def _files() -> dict[str, str]:
    """Return the file of each installed family: upright, of a weight near normal."""

    def oddness(entry: Any) -> tuple[bool, float]:
        return entry.style != "normal", abs(weight_dict.get(entry.weight, entry.weight) - weight_dict["normal"])

    files: dict[str, Any] = {}
    for entry in fontManager.ttflist:
        if not entry.name.startswith((".", "Last Resort")):
            files[entry.name] = min(files.get(entry.name, entry), entry, key=oddness)
    return {name: entry.fname for name, entry in files.items()}


@cache
def _has(family: str, character: str) -> bool:
    return bool(get_font(_files()[family]).get_char_index(ord(character)))


@cache
def _anywhere(character: str) -> bool:
    return any(_has(family, character) for family in sorted(_installed()))
