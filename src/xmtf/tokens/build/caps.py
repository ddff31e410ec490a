"""Caps in tokens: the most that token files hold for training of a task, and of a language.

The examples of a language are in a seeded random order. Of each task the first ones are kept, as many as fit under its
cap, and of what is left the first ones that fit under the cap of the language. The tokens of an example are those of
both sides, with what is at their ends::

    task      a  b  a  a  b      caps: task a 10, language 11
    tokens    4  3  5  2  6
    of a      4     9 11         the third of a is over its cap
    of all    4  7 12    18      the second of a and of b are over the language's
    kept      1  1  0  0  0

Examples for validation are not trained on: they are neither counted nor left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.json_types import JsonObject
from xmtf.recipe.sections.tokenization import TokenCaps
from xmtf.tokens.store.index import read_index
from xmtf.tokens.store.store import with_suffix

__all__ = ["OVER_LANGUAGE", "OVER_TASK", "KeptItems", "Origins", "check_caps", "kept_items", "within_caps"]

OVER_TASK = "over the task's cap in tokens"
OVER_LANGUAGE = "over the language's cap in tokens"
"""Reasons of the examples that caps leave out."""

_ORIGINS = "origins.npy"

Int64 = npt.NDArray[np.int64]


def within_caps(
    tasks: Int64, tokens: Int64, caps: Mapping[int, int], cap: int | None
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which examples of a language their task's cap keeps, and which of those the language's does.

    >>> of_task, of_all = within_caps(np.array([0, 1, 0, 0, 1]), np.array([4, 3, 5, 2, 6]), {0: 10}, 11)
    >>> of_task.astype(int).tolist(), of_all.astype(int).tolist()
    ([1, 1, 1, 0, 1], [1, 1, 0, 0, 0])

    Args:
        tasks: Number of the task of each example, ``[examples]``.
        tokens: Tokens of each.
        caps: Number of a task -> its cap.
        cap: The language's, or None.
    """
    of_task = np.ones(len(tasks), bool)
    for task, most in caps.items():
        places = np.flatnonzero(tasks == task)
        of_task[places[np.cumsum(tokens[places]) > most]] = False
    of_all = of_task.copy()
    if cap is not None:
        places = np.flatnonzero(of_task)
        of_all[places[np.cumsum(tokens[places]) > cap]] = False
    return of_task, of_all


def check_caps(caps: TokenCaps, languages: Collection[str], tasks: Collection[str]) -> None:
    """Refuse a pattern that matches no language, or no task.

    Raises:
        UnknownNameError: Names the pattern.
    """
    for kind, patterns, names in (("language", caps.languages, languages), ("task", caps.tasks, tasks)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                raise UnknownNameError(kind, pattern, names, f"tokens.cap_tokens.{kind}s")


@dataclass(slots=True)
class Origins:
    """Of the items of a tokenised shard: which task each is of, and how many bytes its texts have.

    Attributes:
        names: Names of the tasks, in the order of their numbers.
    """

    names: dict[str, int] = field(default_factory=dict)
    _rows: list[Int64] = field(default_factory=list)

    def append(self, rows: pa.RecordBatch, kept: Int64) -> None:
        """Take over the rows of a batch that became items."""
        tasks = rows["task"].dictionary_encode()
        numbers = np.array([self.names.setdefault(name, len(self.names)) for name in tasks.dictionary.to_pylist()])
        sizes = sum(np.asarray(pc.fill_null(pc.binary_length(rows[side]), 0)) for side in ("inputs", "targets"))
        if len(kept):
            of_row = numbers[np.asarray(tasks.indices)]
            self._rows.append(np.stack([of_row[kept], np.asarray(sizes)[kept]], axis=1).astype(np.int64))

    def save(self, folder: Path) -> None:
        """Write them into the folder of the items."""
        np.save(folder / _ORIGINS, np.concatenate([np.empty((0, 2), np.int64), *self._rows]), allow_pickle=False)


@dataclass(frozen=True, slots=True)
class KeptItems:
    """Which items caps keep of the shards of a language.

    Attributes:
        masks: Of the items of each shard.
        left_out: What the others are: ``input_tokens``, ``target_tokens``, ``bytes``, and ``dropped`` by reason.
    """

    masks: list[npt.NDArray[np.bool_]]
    left_out: JsonObject


def kept_items(folders: Sequence[Path], names: Sequence[Sequence[str]], caps: TokenCaps, language: str) -> KeptItems:
    """Apply the caps to the items to train on of one language.

    Args:
        folders: Of those items, of each shard.
        names: Names of the tasks of each shard, in the order of its numbers.
        caps: Of the recipe.
        language: The language.

    Raises:
        ConfigError: A cap is smaller than the first example that it is for, so that nothing would be left.
    """
    known = {name: number for number, name in enumerate(dict.fromkeys(name for some in names for name in some))}
    origins = [np.load(folder / _ORIGINS, allow_pickle=False) for folder in folders]
    of_shard = [np.array([known[name] for name in some], np.int64) for some in names]
    tasks = np.concatenate([found[each[:, 0]] for found, each in zip(of_shard, origins, strict=True)])
    sides = [
        np.concatenate([read_index(with_suffix(folder / side, ".idx")).sizes for folder in folders]).astype(np.int64)
        for side in ("inputs", "targets")
    ]
    limits = {number: most for name, number in known.items() if (most := _first(caps.tasks, name)) is not None}
    cap = _first(caps.languages, language)
    of_task, kept = within_caps(tasks, sides[0] + sides[1], limits, cap)
    for name, number in known.items():
        mine = np.flatnonzero(tasks == number)
        if len(mine) and not of_task[mine].any():
            first = int(sides[0][mine[0]] + sides[1][mine[0]])
            raise ConfigError(_too_small("tasks", f"task {name} in {language}", limits[number], first))
    if len(tasks) and not kept.any():
        first = int((sides[0] + sides[1])[of_task.argmax()])
        raise ConfigError(_too_small("languages", language, cap or 0, first))
    sizes = np.concatenate([each[:, 1] for each in origins])
    left_out = {
        "input_tokens": int(sides[0][~kept].sum()),
        "target_tokens": int(sides[1][~kept].sum()),
        "bytes": int(sizes[~kept].sum()),
        "dropped": {OVER_TASK: int((~of_task).sum()), OVER_LANGUAGE: int((of_task & ~kept).sum())},
    }
    bounds = np.cumsum([len(each) for each in origins])[:-1]
    return KeptItems(np.split(kept, bounds), left_out)


def _first(caps: Mapping[str, int], name: str) -> int | None:
    return next((most for pattern, most in caps.items() if fnmatchcase(name, pattern)), None)


def _too_small(key: str, what: str, most: int, first: int) -> str:
    return (
        f"tokens.cap_tokens.{key}: {most:,} tokens leave nothing of {what}, whose first example has {first:,}; raise "
        "the cap, or leave it out of the mixture"
    )
