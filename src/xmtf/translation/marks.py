"""How the marks of a unit are written for an engine, and read back.

parts    "Given ", 0, ", is it ", 1, "?"
xml      Given <x id="0"/>, is it <x id="1"/>?        text escaped, as in HTML
braces   Given {0}, is it {1}?
square   Given [0], is it [1]?
word     Given XQ0X, is it XQ1X?
split    Given / , is it / ?                          no mark leaves; order and spaces stay
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xmtf.templates.languages.segments import Part

__all__ = ["STYLES", "Style", "StyleName", "chunks"]

StyleName = Literal["xml", "braces", "square", "word"]


@dataclass(frozen=True, slots=True)
class Style:
    """One way to write marks.

    Attributes:
        before: What is before the number.
        after: What is after it.
        pattern: Finds a mark in an answer; its one group is the number.
        is_escaped: Whether text is escaped as in HTML.
    """

    before: str
    after: str
    pattern: re.Pattern[str]
    is_escaped: bool = False

    def encode(self, parts: Sequence[Part]) -> str | None:
        """Return the parts as one text, or None where their text looks like a mark already."""
        if any(isinstance(part, str) and self.pattern.search(part) for part in parts):
            return None
        return "".join(
            (html.escape(part, quote=False) if self.is_escaped else part)
            if isinstance(part, str)
            else f"{self.before}{part}{self.after}"
            for part in parts
        )

    def decode(self, answer: str) -> tuple[Part, ...]:
        """Return an answer as parts, whatever marks it has; text at its edges is stripped.

        >>> STYLES["xml"].decode('Si <x id="1"/> &amp; <x id = "0" />? ')
        ('Si ', 1, ' & ', 0, '?')
        """
        parts: list[Part] = []
        at = 0
        answer = answer.strip()
        for match in self.pattern.finditer(answer):
            parts += [self._text(answer[at : match.start()]), int(match[1])]
            at = match.end()
        parts.append(self._text(answer[at:]))
        return tuple(part for part in parts if part != "")

    def _text(self, text: str) -> str:
        return html.unescape(text) if self.is_escaped else text


STYLES: dict[StyleName, Style] = {
    "xml": Style('<x id="', '"/>', re.compile(r"<x\s+id\s*=\s*[\"']?\s*(\d+)\s*[\"']?\s*(?:/>|>\s*</x>)"), True),
    "braces": Style("{", "}", re.compile(r"\{\s*(\d+)\s*\}")),
    "square": Style("[", "]", re.compile(r"\[\s*(\d+)\s*\]")),
    "word": Style("XQ", "X", re.compile(r"\bXQ\s?(\d+)\s?X\b", re.IGNORECASE)),
}
"""Name -> style."""


def chunks(parts: Sequence[Part]) -> list[tuple[str, str, str]]:
    """Return the texts between marks as (space before, text, space after); ``text`` is empty where nothing is said.

    >>> chunks(["Given ", 0, ", is it?"])
    [('', 'Given', ' '), ('', ', is it?', '')]
    """
    found = []
    for part in parts:
        if isinstance(part, str):
            text = part.strip()
            start = part.index(text) if text else len(part)
            found.append((part[:start], text, part[start + len(text) :]))
    return found
