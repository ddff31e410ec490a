"""One row under one template, as a person reads it: the prompt on the left, the target on the right."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from xmtf.records import Origin
from xmtf.text.table import visible

__all__ = ["Preview", "side_by_side"]


@dataclass(frozen=True, slots=True)
class Preview:
    """A rendered row, or why there is none.

    Attributes:
        template: Name of the template.
        language: Language that it is written in.
        origin: The row.
        inputs: The prompt, or None.
        targets: The right answers.
        choices: Answer choices, or None.
        problem: Why the row makes no example, or None.
        remedy: What to do about it, or None.
    """

    template: str
    language: str
    origin: Origin
    inputs: str | None
    targets: tuple[str, ...]
    choices: tuple[str, ...] | None
    problem: str | None
    remedy: str | None = None


def side_by_side(preview: Preview, width: int) -> str:
    """Return the preview as text of ``width`` terminal columns: inputs left, targets and choices right.

    >>> print(side_by_side(Preview("t", "en", Origin("d", "", "s", 0), "Is it?", ("yes",), ("yes", "no"), None), 30))
    --- t (en), d [s] row 0
    Is it?           | yes
                     |
                     | choices:
                     | * yes
                     |   no
    """
    head = f"--- {preview.template} ({preview.language}), {preview.origin}"
    if preview.problem is not None:
        head = f"{visible(head)}\n(no example: {visible(preview.problem)})"
    if preview.inputs is None:
        return head
    left_width = max(16, (width - 3) * 5 // 8)
    right_width = max(8, width - 3 - left_width)
    left = list(_wrap(preview.inputs, left_width))
    right = [line for target in preview.targets for line in _wrap(target, right_width)]
    if preview.choices is not None:
        right += ["", "choices:"]
        for choice in preview.choices:
            mark = "*" if choice in preview.targets else " "
            right += _wrap(f"{mark} {choice}", right_width)
    left, right = ([visible(line) for line in side] for side in (left, right))
    lines = max(len(left), len(right))
    left += [""] * (lines - len(left))
    right += [""] * (lines - len(right))
    body = (f"{_padded(a, left_width)} | {b}".rstrip() for a, b in zip(left, right, strict=True))
    return "\n".join([head, *body])


def _wrap(text: str, width: int) -> Iterator[str]:
    """Yield lines of at most ``width`` terminal columns, cut at spaces where there are any."""
    for line in text.expandtabs(4).splitlines() or [""]:
        rest = line
        while _columns(rest) > width:
            cut = _fitting(rest, width)
            space = rest.rfind(" ", 1, cut + 1)
            cut = space if space > cut // 2 else cut
            yield rest[:cut].rstrip()
            rest = rest[cut:].lstrip()
        yield rest


def _fitting(text: str, width: int) -> int:
    used = 0
    for position, character in enumerate(text):
        used += _columns(character)
        if used > width:
            return max(1, position)
    return len(text)


def _columns(text: str) -> int:
    """Return the columns that a text takes on a terminal: East Asian characters two, marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _columns(text))
