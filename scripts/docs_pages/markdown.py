"""Pieces of MyST text: escaped prose, tables, directives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "directive", "listing", "prose", "table"]

_SPECIAL = re.compile(r"([\\*_<>\[\]{}#|~$^])")


def prose(text: str) -> str:
    r"""Return text of the program as MyST: signs stay signs, what stands in backticks is code.

    >>> prose("rows of `a_b` * 2")
    'rows of `a_b` \\* 2'
    """
    parts = re.split(r"(`[^`]+`)", text.replace("``", "`"))
    return "".join(part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in parts)


def code(text: str) -> str:
    """Return text as inline code, in a table too."""
    return f"`{text}`" if "`" not in text else f"`` {text} ``"


def directive(name: str, argument: str, body: str = "", fence: str = "```", **options: str) -> str:
    """Return a directive of MyST with its options and its content."""
    given = "".join(f":{key}: {value}\n" for key, value in options.items() if value)
    return f"{fence}{{{name}}} {argument}\n{given}{body and chr(10) + body + chr(10)}{fence}\n"


def listing(text: str, language: str) -> str:
    """Return a block of code."""
    fence = "````" if "```" in text else "```"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, whose cells are MyST without line ends."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        f"| {' | '.join(' '.join(cell.replace('|', chr(92) + '|').split()) for cell in line)} |\n" for line in lines
    )
