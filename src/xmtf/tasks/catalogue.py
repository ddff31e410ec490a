"""The catalogue: every task that a recipe can name, from the built-in files and the recipe's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.recipe import LoadedRecipe, TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.tasks.entries import read_catalogue_file
from xmtf.tasks.outline import OutlinedSplit, outline_slices
from xmtf.tasks.own_tasks import own_tasks
from xmtf.tasks.pins import pinned
from xmtf.tasks.selection import select_slices
from xmtf.tasks.task import Role, Slice, Task
from xmtf.templates import open_collection

__all__ = ["FAMILY_SETS", "Catalogue", "load_catalogue"]

_BUILT_IN = Path(__file__).with_name("catalogue")

FAMILY_SETS = {
    "p3": "p3-family",
    "xp3": "xp3-family",
    "xp3-lost": "xp3-family",
    "xp3all": "xp3-family",
    "xp3mt": "xp3mt-family",
    "xp3x": "xp3x-family",
    "bloomz-l1": "bloomz-evaluation",
    "bloomz-l2": "bloomz-evaluation",
    "bloomz-l1-mt": "bloomz-evaluation",
    "bloomz-l2-mt": "bloomz-evaluation",
    "bloomz-xnli-ht-mt": "bloomz-evaluation",
    "bloomz-zh-ht": "bloomz-evaluation",
    "bloomz-validation": "bloomz-evaluation",
    "bloomz-generation": "bloomz-generation",
}
"""Set of the xP3 family -> catalogue file that lists it."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known tasks.

    Attributes:
        tasks: Task id -> task, in the order of the catalogue files.
    """

    tasks: dict[str, Task]

    def select(
        self,
        selections: Sequence[TaskSelection],
        *,
        role: Role,
        held_out: HeldOut | None = None,
        where: str = "tasks",
    ) -> tuple[Slice, ...]:
        """Return what the selections of a recipe take; see :func:`xmtf.tasks.selection.select_slices`."""
        return select_slices(self.tasks, selections, role=role, held_out=held_out, where=where)

    def prompted_from(self, folder: Path) -> Catalogue:
        """Return the tasks with the templates of a promptsource folder instead of their own.

        Raises:
            TemplateError: There is no such folder.
        """
        root = open_collection(folder).root
        return Catalogue({name: replace(task, templates_root=root) for name, task in self.tasks.items()})

    def pinned_by(self, path: Path) -> Catalogue:
        """Return the tasks with the commits that a file pins; datasets that are not here are left aside.

        Raises:
            ConfigError: The file is wrong.
            UnknownNameError: It pins a revision that no task of a dataset has.
        """
        return Catalogue({task.id: task for task in pinned(self.tasks.values(), path, whole=False)})

    def outline(
        self,
        selections: Sequence[TaskSelection],
        *,
        role: Role,
        held_out: HeldOut | None = None,
        where: str = "tasks",
    ) -> tuple[OutlinedSplit, ...]:
        """Return what the selections take, from the catalogue alone; see :mod:`xmtf.tasks.outline`."""
        return outline_slices(self.tasks, selections, role=role, held_out=held_out, where=where)


def load_catalogue(
    loaded: LoadedRecipe | None = None, *, sets: Iterable[str] = (), files: Sequence[Path] = ()
) -> Catalogue:
    """Read the built-in catalogue files, then the recipe's catalogues and own tasks.

    The xP3 family and its evaluation suites (:data:`FAMILY_SETS`) are large; they are read where ``sets`` or
    a selection of the recipe names one of them.

    Args:
        loaded: A recipe, or None.
        sets: Sets of the family to read.
        files: More catalogue files.

    Raises:
        ConfigError: A file is wrong, or two tasks have the same id.
    """
    wanted = {*sets, *_named_in(loaded)} if loaded is not None else set(sets)
    families = sorted({FAMILY_SETS[name] for name in wanted if name in FAMILY_SETS})
    tasks = [*_built_in(), *(task for name in families for task in _family(name))]
    tasks += [task for path in files for task in read_catalogue_file(path)]
    if loaded is not None:
        folder = loaded.path.parent
        for name in loaded.recipe.catalogues:
            tasks += read_catalogue_file(folder / name)
        tasks += own_tasks(loaded.recipe.own_tasks, loaded.path)
        if loaded.recipe.pins is not None:
            tasks = pinned(tasks, folder / loaded.recipe.pins)
    return Catalogue(_by_id(tasks))


def _named_in(loaded: LoadedRecipe) -> set[str]:
    suites = loaded.recipe.evaluation.suites
    selections = [*loaded.recipe.mixture.tasks, *(each for suite in suites for each in suite.tasks)]
    return {selection.catalogue for selection in selections if selection.catalogue is not None}


@cache
def _built_in() -> tuple[Task, ...]:
    return tuple(task for path in sorted(_BUILT_IN.glob("*.yaml")) for task in read_catalogue_file(path, packaged=True))


@cache
def _family(name: str) -> tuple[Task, ...]:
    return read_catalogue_file(_BUILT_IN / "families" / f"{name}.yaml", packaged=True)


def _by_id(tasks: Iterable[Task]) -> dict[str, Task]:
    result: dict[str, Task] = {}
    for task in tasks:
        if task.id in result:
            raise ConfigError(
                f"task {task.id!r} is defined twice: in catalogue {result[task.id].catalogue!r} and in "
                f"{task.catalogue!r}; rename one"
            )
        result[task.id] = task
    return result
