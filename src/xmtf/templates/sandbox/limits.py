"""What rendering one row may cost, so that a stranger's template cannot hang or fill the machine.

Every place where Jinja can make a new value or go round once more is guarded (:mod:`sandbox`, :mod:`compile`) and pays
here: steps for loops and calls, characters for values made. The amounts are counted, not timed, so the same template on
the same row always ends the same way; a limit on CPU time is behind them as a last resort. An ordinary template uses a
few hundred steps of a million.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

from jinja2.runtime import Undefined
from jinja2.utils import Namespace

__all__ = ["BUDGET", "MAX_CHARACTERS", "MAX_SECONDS", "MAX_STEPS", "MAX_VALUE", "Budget", "LimitError", "made", "weigh"]

MAX_STEPS = 1_000_000
"""Expression nodes that loops and calls of one row may evaluate."""
MAX_CHARACTERS = 32_000_000
"""Characters (or 8 per list element) that one row may make in all."""
MAX_VALUE = 4_000_000
"""Characters of one text, or weight of one list, that a template may make."""
MAX_SECONDS = 0.5
"""CPU seconds of the thread for one row; only reached where the counts miss something."""
_CHECK_EVERY = 2_000

_ELEMENT = 8
_SMALL = (bool, float, type(None), datetime.date, datetime.time, datetime.timedelta, Decimal, Undefined)
_LISTS: tuple[type[Collection[Any]], ...] = (
    list,
    tuple,
    set,
    frozenset,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)


class LimitError(Exception):
    """A template asked for more than one row may cost."""


class Budget(threading.local):
    """What is left for the row that this thread renders."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Give a new row its full allowance."""
        self.steps = MAX_STEPS
        self.characters = MAX_CHARACTERS
        self.until_check = _CHECK_EVERY
        self.deadline: float | None = None

    def spend(self, steps: int) -> None:
        """Pay for work done.

        Raises:
            LimitError: Nothing is left.
        """
        self.steps -= steps
        self.until_check -= steps
        if self.until_check < 0:
            self._check()

    def _check(self) -> None:
        self.until_check = _CHECK_EVERY
        if self.steps < 0:
            raise LimitError(f"more than {MAX_STEPS:,} steps for one row; is there an endless loop?")
        now = time.thread_time()
        if self.deadline is None:
            self.deadline = now + MAX_SECONDS
        elif now > self.deadline:
            raise LimitError(f"more than {MAX_SECONDS:g} s of CPU time for one row")

    def make(self, characters: int) -> None:
        """Pay for a value about to be made or just made.

        Raises:
            LimitError: The value alone, or all values of the row together, are too large.
        """
        self.characters -= characters
        if self.characters < 0:
            raise LimitError(f"more than {MAX_CHARACTERS:,} characters produced for one row")
        self.spend(characters >> 8)


BUDGET = Budget()
"""The budget of the running thread."""


def weigh(value: object) -> int:
    """Return the size of a value written out in full: characters, and 8 per element.

    A list that holds the same list twice counts it twice, as printing or comparing it would.

    Raises:
        LimitError: More than ``MAX_VALUE``, or a namespace inside a list.
    """
    if type(value) is str:
        return len(value)
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        total += _ELEMENT
        if isinstance(item, (str, bytes)):
            total += len(item)
        elif isinstance(item, _LISTS):
            total += len(item)
            stack.extend(item)
        elif isinstance(item, dict):
            total += len(item)
            stack.extend(item)
            stack.extend(item.values())
        elif type(item) is int:
            total += item.bit_length() >> 1
        elif isinstance(item, range):
            total += len(item) * _ELEMENT
        elif isinstance(item, Namespace):
            raise LimitError("a namespace cannot be stored in a list, a dict or another namespace")
        elif not isinstance(item, _SMALL):
            total += 64
        if total > MAX_VALUE:
            raise LimitError(f"a value larger than {MAX_VALUE:,} characters")
    BUDGET.spend(total >> 6)
    return total


def made(value: Any) -> Any:
    """Pay for a value that a filter, a call or a literal made; return it.

    Iterators pay for each item as they go.
    """
    kind = type(value)
    if kind is str:
        if len(value) > 1000:
            BUDGET.make(len(value))
    elif kind is int or kind is Namespace or isinstance(value, _SMALL):
        pass
    elif isinstance(value, Iterator):
        return _paying(value)
    else:
        BUDGET.make(weigh(value))
    return value


def _paying(items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        BUDGET.spend(4)
        yield made(item)
