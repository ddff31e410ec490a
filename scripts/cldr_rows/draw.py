"""Draw rows and splits the same way on every machine and in every process.

Python's own ``hash`` differs between processes and ``random`` would tie a row to those before it, so
every choice here is a pure function of the texts that name it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import pyarrow as pa

__all__ = ["ROWS", "SPLITS", "Row", "deal", "draw", "pick", "split_rows", "stable_hash"]

T = TypeVar("T")

Row = dict[str, Any]
"""Column name -> value; ``key`` is the text whose hash decides the split and never becomes a column."""

ROWS = 60
"""Most rows of a (dataset, language), over both splits."""

SPLITS = ("train", "test")
_TEST_SHARE = 5
"""One row in five is a test row."""


def stable_hash(*parts: object) -> int:
    """Return 64 bits that depend on the texts of ``parts`` only."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def pick(items: Sequence[T], *parts: object) -> T:
    """Return one of ``items``, chosen by ``parts``."""
    return items[stable_hash(*parts) % len(items)]


def draw(items: Iterable[T], count: int, *parts: object, without: Iterable[T] = ()) -> list[T]:
    """Return ``count`` of ``items`` (or all, where there are fewer) in an order chosen by ``parts``.

    >>> sorted(draw("abc", 5, "some row", without="b"))
    ['a', 'c']
    """
    barred = set(without)
    pool = [item for item in items if item not in barred] if barred else list(items)
    state = stable_hash(*parts)
    chosen: list[T] = []
    while pool and len(chosen) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64  # Knuth's generator (MMIX)
        place = (state >> 33) % len(pool)
        pool[place], pool[-1] = pool[-1], pool[place]
        chosen.append(pool.pop())
    return chosen


def deal(right: str, wrong: Sequence[str], *parts: object) -> tuple[list[str], int]:
    """Put the right answer among wrong ones; return (choices, index of the right one).

    >>> choices, label = deal("b", ["a", "c"], "some row")
    >>> choices[label], sorted(choices)
    ('b', ['a', 'b', 'c'])
    """
    choices = list(wrong)
    label = stable_hash("place of the answer", right, *parts) % (len(choices) + 1)
    choices.insert(label, right)
    return choices, label


def split_rows(rows: Iterable[Row]) -> dict[str, pa.Table]:
    """Return the rows of each split as a table.

    A row belongs to the split that the hash of its ``key`` says: equal keys are never in both splits,
    whatever the language. A row that repeats an earlier one is left out.
    """
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    seen = set()
    for row in rows:
        columns = {name: value for name, value in row.items() if name != "key"}
        identity = repr(columns)
        if identity not in seen:
            seen.add(identity)
            splits["test" if stable_hash("split", row["key"]) % _TEST_SHARE == 0 else "train"].append(columns)
    return {split: pa.Table.from_pylist(kept) for split, kept in splits.items()}
