"""Randomness of the filters ``choice`` and ``random``: the same row always draws the same."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["DRAWS", "Draws"]


class Draws(threading.local):
    """The random numbers of the row that this thread renders.

    The generator is seeded from (dataset, subset, split, template, row) and made only when a template
    draws, since seeding costs more than rendering an ordinary template.
    """

    def __init__(self) -> None:
        self.start(("",))

    def start(self, key: tuple[Any, ...]) -> None:
        """Begin a row."""
        self._key = key
        self._generator: random.Random | None = None

    def choice(self, items: Sequence[object]) -> Any:
        """Return one of the items.

        Raises:
            IndexError: There are none.
        """
        if self._generator is None:
            self._generator = random.Random("\x1f".join(map(str, self._key)))
        return self._generator.choice(items)


DRAWS = Draws()
"""The draws of the running thread."""
