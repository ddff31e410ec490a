"""Apertium: rules and dictionaries, free, without a network (Debian: ``apertium`` and a package for each pair)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

import langcodes

from xmtf.errors import ConfigError
from xmtf.translation.engines.command import run_lines
from xmtf.translation.marks import StyleName

__all__ = ["ApertiumEngine"]


class ApertiumEngine:
    """The pairs that are installed. Its HTML format keeps tags, and each text is its own paragraph.

    A word that it does not know comes back in the source's language with a star (``*entailment``), which no gate lets
    through.
    """

    name = "apertium"
    styles: tuple[StyleName, ...] = ("xml",)

    def __init__(self) -> None:
        """Look for the program.

        Raises:
            ConfigError: It is not installed.
        """
        if shutil.which("apertium") is None:
            raise ConfigError(
                "apertium is not installed; apt-get install apertium-eng-spa installs it with a language pair"
            )
        self._pairs = _pairs()
        self.version = _version()

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Run the pair once; see :class:`xmtf.translation.engines.protocol.Engine`."""
        pair = self._pair(source, target)
        words = ["apertium", "-f", "html", pair]
        lines = run_lines(words, [f"<p>{text}</p>" for text in texts], f"apertium {pair}")
        answers = [line.strip().removeprefix("<p>").removesuffix("</p>") for line in lines]
        if len(answers) != len(texts):
            return answers
        return [_as_begun(text, answer) for text, answer in zip(texts, answers, strict=True)]

    def _pair(self, source: str, target: str) -> str:
        names = [{code, _three_letters(code)} for code in (source, target)]
        for first in sorted(names[0]):
            for second in sorted(names[1]):
                if f"{first}-{second}" in self._pairs:
                    return f"{first}-{second}"
        known = ", ".join(sorted(pair for pair in self._pairs if pair.count("-") == 1 and "_" not in pair))
        raise ConfigError(f"apertium has no pair {source}-{target}; installed: {known or 'none'}")


def _as_begun(text: str, answer: str) -> str:
    """Write the first letter small where the source does: a paragraph makes it a capital."""
    return answer[:1].lower() + answer[1:] if text[:1].islower() else answer


@cache
def _pairs() -> frozenset[str]:
    done = subprocess.run(["apertium", "-l"], capture_output=True, text=True, check=False)
    return frozenset(line.strip() for line in done.stdout.splitlines())


@cache
def _version() -> str:
    done = subprocess.run(["apertium", "-V"], capture_output=True, text=True, check=False)
    words = (done.stdout or done.stderr).split()
    return words[-1] if words else ""


def _three_letters(code: str) -> str:
    try:
        return langcodes.Language.get(code).to_alpha3()
    except LookupError:
        return code
