"""What several layers need of one micro-batch, made once and kept until another micro-batch needs its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Latest"]

Made = TypeVar("Made")


class Latest(Generic[Made]):
    """Keeps what was made last, and nothing else: that goes before the next is made.

    A pipeline stage that recomputes its blocks asks for it in each of them, forward and again backward, with other
    micro-batches in between::

        forward of 3     made, found, found
        backward of 1    made, found, found      that of 3 is gone
        forward of 4     made, found, found
    """

    def __init__(self) -> None:
        self._maker: Callable[[], Made] | None = None
        self._made: Made | None = None

    def remembering(self, make: Callable[[], Made]) -> Callable[[], Made]:
        """Return a function that makes its thing again only where another's was asked for in between."""

        def made() -> Made:
            if self._maker is not make or self._made is None:
                self._maker, self._made = None, None
                self._made = make()
                self._maker = make
            return self._made

        return made
