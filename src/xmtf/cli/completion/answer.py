"""One question of a shell, answered."""

from __future__ import annotations

import os
import re

from xmtf.cli.completion import BREAKS, LINE, SHELL
from xmtf.cli.completion.candidates import candidates, split_line
from xmtf.cli.completion.index import load_index
from xmtf.cli.terminal.printing import print_text

__all__ = ["answer"]


def answer() -> int:
    """Print what completes the line in the environment; return the exit code."""
    _, *words = split_line(os.environ.get(LINE, "")) or ["xmtf"]
    found, files = candidates(load_index(), words or [""])
    if os.environ[SHELL] == "bash":
        found = [_behind_break(each, words[-1] if words else "") for each in found]
    print_text("files" if files else "-")
    for each in found:
        print_text(each)
    return 0


def _behind_break(candidate: str, word: str) -> str:
    """Return the part of a candidate that bash replaces: for it, a word begins again behind ``=`` and ``:``."""
    breaks = [letter for letter in "=:" if letter in os.environ.get(BREAKS, "=:")]
    ends = [match.end() for match in re.finditer("[" + "".join(breaks) + "]", word)] if breaks else []
    return candidate[ends[-1] :] if ends else candidate
