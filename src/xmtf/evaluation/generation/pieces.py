"""An answer shown piece by piece while it is written: only what is certain to stay."""

from __future__ import annotations

from collections.abc import Callable

from xmtf.evaluation.generation.generate import cut_at_stops

__all__ = ["Pieces"]

_UNFINISHED = "\ufffd"
"""What the bytes of a character decode to before the last of them is there."""


class Pieces:
    """Shows an answer that grows.

    Args:
        stops: Texts that end an answer.
        show: Given each new piece, as soon as it stands.
    """

    def __init__(self, stops: tuple[str, ...], show: Callable[[str], None]) -> None:
        self._stops = stops
        self._show = show
        self._shown = ""

    def add(self, text: str) -> None:
        """Show what is new in the text so far."""
        text = cut_at_stops(text, self._stops).lstrip()
        certain = text[: len(text) - _open_end(text, self._stops)]
        if certain.startswith(self._shown) and not text.endswith(_UNFINISHED):
            self._show(certain[len(self._shown) :])
            self._shown = certain

    def end(self, answer: str) -> str:
        """Show what is left of the whole answer, and return it."""
        self._show(answer[len(self._shown) :])
        return answer


def _open_end(text: str, stops: tuple[str, ...]) -> int:
    """Return how many characters at the end of a text are not certain: white space, or what may become a stop text."""
    begun = max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)
    return len(text) - len(text[: len(text) - begun].rstrip())
