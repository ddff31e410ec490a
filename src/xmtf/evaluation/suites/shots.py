"""Shown examples ("shots"): rows with their answers that are before each prompt of a suite.

::

    fixed     the same k rows of the split before every item, drawn by the seed; computed once
    first     the same k rows before every item, the first of the split
    nearest   k rows of the split that are most like the item, the most alike last

An item is never shown its own answer: of the split that is asked, the row itself and, where the rows of languages are
translations of each other, its translations are left out, and from any split what reads the same. Which shots fit the
model is found when it is loaded (:mod:`xmtf.evaluation.asking.fit_shots`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xmtf.errors import ConfigError
from xmtf.evaluation.suites.setup import Setup, SuiteSlice
from xmtf.recipe.schema import Shots
from xmtf.records import ShotsAsked
from xmtf.tasks import Slice
from xmtf.tasks.prompting.prompted import prompted_parts
from xmtf.tasks.shot_source import shot_source
from xmtf.templates import Template

__all__ = ["Shown", "shots_slice", "shown_before"]

_BETWEEN = "\n\n"
"""Between a shot and what comes after it."""
_FEATURES = 1 << 14
_ITEMS = 256
"""Items compared with the pool at a time."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    row: int
    inputs: str
    text: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be before the prompts of one job.

    Attributes:
        asked: As results describe it.
        candidates: Rows to choose from, in the order in which they are taken.
        same_rows: Whether equal row numbers are the item itself or its translation.
        nearest: Whether each item has its own.
    """

    asked: ShotsAsked
    candidates: tuple[_Candidate, ...]
    same_rows: bool
    nearest: bool

    def before(self, items: Sequence[tuple[int, str]]) -> Iterator[tuple[str, ...]]:
        """Yield the shots of each item in turn, given its row and its prompt.

        Raises:
            ConfigError: There are not enough rows alongside the item.
        """
        orders = self._nearest([prompt for _, prompt in items]) if self.nearest else None
        everything = range(len(self.candidates))
        for place, (row, prompt) in enumerate(items):
            order = everything if orders is None else orders[place]
            taken: list[str] = []
            for index in order:
                candidate = self.candidates[index]
                if (self.same_rows and candidate.row == row) or candidate.inputs == prompt:
                    continue
                taken.append(candidate.text)
                if len(taken) == self.asked.number:
                    break
            if len(taken) < self.asked.number:
                raise ConfigError(
                    f"shots: {self.asked.number} are requested, and {self.asked.task} [{self.asked.split}] has only "
                    f"{len(taken)} rows that can be shown before row {row}; lower the number or give another split"
                )
            yield tuple(reversed(taken)) if self.nearest else tuple(taken)

    def _nearest(self, prompts: Sequence[str]) -> list[npt.NDArray[np.intp]]:
        """Return for each prompt the places of the candidates, the most alike first."""
        pool_PF = _profiles([candidate.inputs for candidate in self.candidates])
        rare_F = np.log((1 + len(pool_PF)) / (1 + (pool_PF > 0).sum(axis=0))).astype(np.float32)
        pool_PF = _unit(pool_PF * rare_F)
        orders: list[npt.NDArray[np.intp]] = []
        for start in range(0, len(prompts), _ITEMS):
            likeness_IP = _unit(_profiles(prompts[start : start + _ITEMS]) * rare_F) @ pool_PF.T
            orders += list(np.argsort(-np.round(likeness_IP, 5), axis=1, kind="stable"))
        return orders


def shown_before(setup: Setup, part: SuiteSlice, template: Template) -> Shown | None:
    """Return what may be before the prompts of one template of a slice, or None where a suite shows nothing.

    Raises:
        ConfigError: There is no such split or language, or the split has too few rows.
    """
    shots = part.suite.shots
    if shots is None:
        return None
    source = shots_slice(setup, part)
    assert source is not None
    seed = setup.seed if shots.seed is None else shots.seed
    candidates: tuple[_Candidate, ...] = ()
    limits = (shots.pool,) if shots.choice == "nearest" else (4 * shots.number + 16, None)
    for limit in limits if shots.choice != "first" else (None,):
        candidates = _candidates(setup, replace(source, templates=(template,), limit_rows=limit), seed, shots)
        if len(candidates) > 2 * shots.number:
            break
    task = source.task
    same_split = source.split == part.slice.split
    asked = ShotsAsked(shots.number, task.id, source.split, shots.choice, task.language, seed)
    return Shown(asked, candidates, same_split, shots.choice == "nearest")


def shots_slice(setup: Setup, part: SuiteSlice) -> Slice | None:
    """Return the split, all of it, that shots are taken from, or None.

    Raises:
        ConfigError: As :func:`shown_before`.
    """
    shots = part.suite.shots
    if shots is None:
        return None
    where = f"evaluation suite {part.suite.name!r}: shots"
    task, split = shot_source(shots, part.slice.task, part.slice.split, setup.catalogue.tasks, where)
    return replace(part.slice, task=task, split=split, cap_examples=None, limit_rows=None)


def _candidates(setup: Setup, source: Slice, seed: int, shots: Shots) -> tuple[_Candidate, ...]:
    parts = prompted_parts(source, mode=setup.mode, seed=seed, offline=setup.offline, failing_rows=setup.failing_rows)
    (prompted,) = parts
    rows = prompted.table.select(["inputs", "targets", "row"]).to_pylist()
    found = [
        _Candidate(each["row"], each["inputs"], f"{each['inputs']} {each['targets']}{_BETWEEN}")
        for each in rows
        if each["targets"]
    ]
    if shots.choice == "fixed":
        of = source.task.parallel or source.task.id
        found.sort(key=lambda each: hashlib.sha256(f"{seed} {of} {source.split} {each.row}".encode()).digest())
    return tuple(found)


def _profiles(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return how often each text has each (hashed) run of three characters, damped, [texts, features]."""
    counts = np.zeros((len(texts), _FEATURES), np.float32)
    for place, text in enumerate(texts):
        codes = np.frombuffer(f"  {text.casefold()}  ".encode("utf-32-le"), np.uint32).astype(np.uint64)
        mixed = (codes[:-2] * np.uint64(0x9E3779B1) + codes[1:-1]) * np.uint64(0x85EBCA77) + codes[2:]
        hashed = (mixed * np.uint64(0xC2B2AE3D27D4EB4F)) >> np.uint64(50)
        counts[place] = np.log1p(np.bincount(hashed.astype(np.int64), minlength=_FEATURES))
    return counts


def _unit(rows_NF: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(rows_NF, axis=1, keepdims=True)
    unit_NF: npt.NDArray[np.float32] = np.divide(rows_NF, norms, out=np.zeros_like(rows_NF), where=norms > 0)
    return unit_NF
