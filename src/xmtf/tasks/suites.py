"""Evaluation suites by name: the short names of ``suites.yaml``, and the catalogues, sets and tasks themselves."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmtf.errors import UnknownNameError
from xmtf.recipe import LoadedRecipe, TaskSelection, load_yaml
from xmtf.tasks.catalogue import FAMILY_SETS, Catalogue, load_catalogue

__all__ = ["NamedSuite", "find_suites", "known_suites"]

_FILE = Path(__file__).with_name("suites.yaml")


@dataclass(frozen=True, slots=True)
class NamedSuite:
    """What a name of ``--suite`` stands for.

    Attributes:
        name: As it was written.
        tasks: What it takes.
        kind: The only kind of task that it takes, or None.
        about: One sentence for people; empty where it is not a name of ``suites.yaml``.
    """

    name: str
    tasks: tuple[TaskSelection, ...]
    kind: str | None = None
    about: str = ""


@cache
def known_suites() -> dict[str, NamedSuite]:
    """Return the suites of ``suites.yaml`` by name."""
    return {
        entry["name"]: NamedSuite(
            entry["name"],
            tuple(TaskSelection.model_validate(part) for part in entry["tasks"]),
            entry.get("kind"),
            entry["about"],
        )
        for entry in load_yaml(_FILE)["suites"]
    }


def find_suites(
    names: Iterable[str], loaded: LoadedRecipe | None = None, files: Sequence[Path] = ()
) -> tuple[tuple[NamedSuite, ...], Catalogue]:
    """Return what suite names stand for, and a catalogue that has their tasks.

    A name is, in this order: a suite of ``suites.yaml`` in upper or lower case (``L1``), a catalogue or set
    (``open``, ``bloomz-l1``), all subsets of a dataset (``xnli``), one task (``xnli/fr``) or a pattern (``xnli/*``).

    Args:
        names: The names.
        loaded: A recipe whose catalogues and own tasks are known as well.
        files: Catalogue files that are known as well.

    Raises:
        UnknownNameError: A name is none of these; names the nearest.
    """
    names = list(names)
    short = known_suites()
    wanted = [part.catalogue for name in names if name.lower() in short for part in short[name.lower()].tasks]
    sets = {name for name in (*names, *wanted, *(name.partition(":")[0] for name in names)) if name in FAMILY_SETS}
    catalogue = load_catalogue(loaded, sets=sets, files=files)
    return tuple(_find(name, catalogue) for name in names), catalogue


def _find(name: str, catalogue: Catalogue) -> NamedSuite:
    if name.lower() in known_suites():
        found = known_suites()[name.lower()]
        return NamedSuite(name, found.tasks, found.kind, found.about)
    collections = {each for task in catalogue.tasks.values() for each in (task.catalogue, *task.sets)}
    if name in collections:
        return NamedSuite(name, (TaskSelection(catalogue=name),))
    for patterns in ((f"{name}/*", name), (f"{name}/*",), (name,)):
        matched = [task for task in catalogue.tasks.values() if any(fnmatch.fnmatchcase(task.id, p) for p in patterns)]
        if matched and all(any(fnmatch.fnmatchcase(task.id, p) for task in matched) for p in patterns):
            # Tasks of a set with the original prompts are found only where their set is named.
            of_set = next((task.sets[0] for task in matched if task.promptsource), None)
            return NamedSuite(name, (TaskSelection(catalogue=of_set, tasks=patterns),))
    roots = {task.id.partition("/")[0] for task in catalogue.tasks.values() if not task.promptsource}
    raise UnknownNameError("suite", name, {*known_suites(), *FAMILY_SETS, *collections, *roots}, "--suite")
