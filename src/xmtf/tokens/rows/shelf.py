"""Arrays that the processes of one machine share: one of them makes an array, all map its file.

What fits a row, and which items share it, are the same in every process of a training: 28 bytes an item, and twice as
much while they are made. Eight processes of a machine would hold them eight times::

    /tmp/xmtf-rows-<launch>/
      <what>-fitted/     0.npy ...       made by the first process; the others wait for it
      <what>-rows-0/     0.npy 1.npy     the next rows, planned once; a plan that ends has a last folder without files

A process that has waited too long makes an array itself: it is the same, whoever makes it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xmtf.files import atomic_folder
from xmtf.guards.alone import in_turn
from xmtf.tokens.rows.packing import Rows

__all__ = ["UNSHARED", "Shelf"]

Arrays = Sequence[npt.NDArray[Any]]

_PATIENCE_S = 60.0
_LOOK_S = 0.02
_FIRST_ITEMS, _MOST_ITEMS = 1 << 12, 1 << 20
"""Items that are planned together: few at first, so that training begins soon, and more later, in fewer files."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where arrays are shared.

    Attributes:
        folder: On a disk of this machine; None where there is nobody to share with.
        first: Whether this process makes what is not there, and the others wait for it.
        patience_s: How long they wait.
    """

    folder: Path | None = None
    first: bool = True
    patience_s: float = _PATIENCE_S

    def arrays(self, name: str, make: Callable[[], Arrays]) -> list[npt.NDArray[Any]]:
        """Return arrays, mapped from their files where they are shared.

        Args:
            name: Of the arrays; says all that they depend on.
            make: Returns them.
        """
        if self.folder is None:
            return list(make())
        path, full = self.folder / name, self.folder / f"{name}.full"
        end = time.monotonic() + self.patience_s
        while not (self.first or path.is_dir() or full.exists() or time.monotonic() > end):
            time.sleep(_LOOK_S)
        if not path.is_dir() and not full.exists():
            with in_turn(path):
                if not path.is_dir():
                    made = list(make())
                    if shutil.disk_usage(self.folder).free < 2 * sum(array.nbytes for array in made):
                        full.touch()
                        return made
                    _write(path, made)
        return _mapped(path) if path.is_dir() else list(make())

    def rows(self, name: str, chunks: Iterator[Rows]) -> Iterator[Rows]:
        """Yield the rows of a stream, the same ones in larger parts that are shared; see :meth:`arrays`."""
        if self.folder is None:
            yield from chunks
            return
        plan = _Plan(chunks)
        for number in count():
            found = self.arrays(f"{name}-{number}", partial(plan.part, number))
            if not found:
                return
            yield Rows(found[0], found[1])


UNSHARED = Shelf()
"""Every process makes its own."""


class _Plan:
    """A stream of rows in parts; parts that others have made are made again where a later one is needed here."""

    def __init__(self, chunks: Iterator[Rows]) -> None:
        self._chunks = chunks
        self._made = 0

    def part(self, number: int) -> list[npt.NDArray[np.int64]]:
        """Return the items and starts of the rows of a part; nothing after the last one."""
        found: list[npt.NDArray[np.int64]] = []
        while self._made <= number:
            found = self._next(min(_MOST_ITEMS, _FIRST_ITEMS << self._made))
            self._made += 1
        return found

    def _next(self, most: int) -> list[npt.NDArray[np.int64]]:
        items: list[npt.NDArray[np.int64]] = []
        starts = [np.zeros(1, dtype=np.int64)]
        total = 0
        while total < most and (chunk := next(self._chunks, None)) is not None:
            items.append(chunk.items)
            starts.append(chunk.starts[1:] + total)
            total += len(chunk.items)
        return [np.concatenate(items), np.concatenate(starts)] if items else []


def _write(path: Path, arrays: Arrays) -> None:
    with atomic_folder(path) as folder:
        for number, array in enumerate(arrays):
            np.save(folder / f"{number}.npy", array)


def _mapped(path: Path) -> list[npt.NDArray[Any]]:
    files = sorted(path.iterdir(), key=lambda file: int(file.stem))
    return [_map(file) for file in files]


def _map(file: Path) -> npt.NDArray[Any]:
    mapped = np.load(file, mmap_mode="r", allow_pickle=False)
    return np.asarray(mapped).view(np.ndarray)
