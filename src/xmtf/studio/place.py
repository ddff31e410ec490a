"""What is served: the template files of a task, of a folder, or one file, and the tasks whose rows they are for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from xmtf.errors import ConfigError, SourceError, UnknownNameError
from xmtf.execution import warn
from xmtf.sources.locate import is_here
from xmtf.tasks import Task
from xmtf.templates import Collection, open_collection
from xmtf.templates.files.collection import BUILTIN, TEMPLATE_FILES
from xmtf.templates.files.promptsource import read_promptsource

__all__ = ["Place", "Served", "open_place"]

_OURS = "its templates come with the package; give a folder for a copy with --out DIR"


@dataclass(frozen=True, slots=True)
class Served:
    """One file of templates.

    Attributes:
        key: Names it to the browser.
        source: The file that it begins as.
        target: Where changes are saved.
        tasks: Tasks whose rows its templates are for, those first whose rows are on this machine.
        here: Ids of these.
        read_only: Why nothing may be saved, or ``""``.
    """

    key: str
    source: Path
    target: Path
    tasks: tuple[Task, ...] = ()
    read_only: str = ""
    here: frozenset[str] = frozenset()

    @property
    def path(self) -> Path:
        """The file as it is now: where changes were saved, else what it begins as."""
        return self.target if self.target.is_file() else self.source

    def task(self, name: str | None) -> Task | None:
        """Return a task by its id, its first one without; None where it has none.

        Raises:
            UnknownNameError: It has no such task.
        """
        if name is None:
            return next(iter(self.tasks), None)
        found = next((task for task in self.tasks if task.id == name), None)
        if found is None:
            raise UnknownNameError("task", name, [task.id for task in self.tasks], self.key)
        return found


@dataclass(frozen=True, slots=True)
class Place:
    """All that is served; what is not in ``files`` cannot be reached.

    Attributes:
        name: As it was asked for.
        kind: What it is.
        root: Folder or file that is shown.
        files: Key -> file.
    """

    name: str
    kind: Literal["task", "folder", "file"]
    root: Path
    files: Mapping[str, Served]

    def served(self, key: str) -> Served:
        """Return a file by its key.

        Raises:
            UnknownNameError: There is none.
        """
        found = self.files.get(key)
        if found is None:
            raise UnknownNameError("key of templates", key, self.files)
        return found


def open_place(
    name: str,
    tasks: Mapping[str, Task],
    *,
    out: Path | None = None,
    task: str | None = None,
    tell: Callable[[str], None] = warn,
) -> Place:
    """Return what is served under a name.

    Args:
        name: Task id, key of our collections, file, or folder; ``""`` for all of our collections.
        tasks: The catalogue.
        out: Folder that changes go to, as a collection; None changes the files themselves.
        task: Task whose rows the templates of a file are for.
        tell: Told what is left out, a line each.

    Raises:
        ConfigError: There is no such file or folder, or it holds no templates.
        UnknownNameError: There is no such name.
    """
    if task is not None and task not in tasks:
        raise UnknownNameError("task", task, tasks, "--task")
    if name.endswith((".yaml", ".yml")):
        return _with_rows(_of_file(Path(name), name, tasks, out, task))
    if name in tasks:
        return _with_rows(_of_task(tasks[name], out))
    ours = open_collection()
    keys = [key for key in ours.keys() if key == name or key.startswith(f"{name}/") or not name]  # noqa: SIM118
    if keys:
        found = _of_collection(name or "xmtf", ours, keys, tasks, out, tell)
    elif Path(name).is_dir():
        found = _of_folder(name, tasks, out, task, tell)
    else:
        raise UnknownNameError("task, key of templates, file or folder", name, {*ours.keys(), *tasks})
    if not found.files:
        raise ConfigError(f"{name}: holds no templates.yaml that can be read; create one, or give another folder")
    if task is not None:
        chosen = tasks[task]
        found = replace(found, files={key: replace(each, tasks=(chosen,)) for key, each in found.files.items()})
    return _with_rows(found)


def _with_rows(place: Place) -> Place:
    return replace(place, files={key: _sorted(each) for key, each in place.files.items()})


def _sorted(served: Served) -> Served:
    here = frozenset(task.id for task in served.tasks if _is_here(task))
    return replace(served, tasks=tuple(sorted(served.tasks, key=lambda task: task.id not in here)), here=here)


def _is_here(task: Task) -> bool:
    """Whether the first split of a task is on this machine."""
    split = next(name for splits in task.splits.values() for name in splits)
    try:
        return is_here(task.source(split))
    except SourceError:
        return False  # said where the rows are asked for


def _of_file(file: Path, name: str, tasks: Mapping[str, Task], out: Path | None, task: str | None) -> Place:
    if not file.is_file():
        raise ConfigError(f"{file}: no such file (looked in {file.parent.resolve()})")
    header = read_promptsource(file)
    if task is not None:
        chosen: tuple[Task, ...] = (tasks[task],)
    else:
        chosen = tuple(
            each
            for each in tasks.values()
            if _is_same_file(each.template_file, file)
            or (header.dataset and (each.dataset, each.subset) == (header.dataset, header.subset))
        )
    target = file.resolve() if out is None else out.resolve() / file.name
    served = Served(file.name, file.resolve(), target, chosen, _read_only(target, file))
    return Place(name, "file", file, {served.key: served})


def _of_folder(
    name: str, tasks: Mapping[str, Task], out: Path | None, task: str | None, tell: Callable[[str], None]
) -> Place:
    """A collection, or a folder that holds one file itself, as `xmtf init` makes it."""
    folder = open_collection(name)
    keys = [key for key in folder.keys() if key != "."]  # noqa: SIM118 - no mapping
    own = next((path for each in TEMPLATE_FILES if (path := Path(name) / each).is_file()), None)
    if own is not None and not keys:
        return _of_file(own, name, tasks, out, task)
    if own is not None:
        tell(f"  {own}: skipped, since there are folders of templates next to it; give the file to serve it")
    return _of_collection(name, folder, keys, tasks, out, tell)


def _is_same_file(one: Path | None, other: Path) -> bool:
    return one is not None and one.resolve() == other.resolve()


def _of_task(task: Task, out: Path | None) -> Place:
    if task.promptsource:
        raise ConfigError(f"{task.id}: its templates are promptsource's; give the file in its checkout")
    if task.template_file is not None:
        file = task.template_file.resolve()
        target = file if out is None else out.resolve() / file.name
        return Place(task.id, "task", file, {task.id: Served(task.id, file, target, (task,), _read_only(target, file))})
    collection = open_collection()
    keys = [f"{task.template_key}/{task.subset}", task.template_key]
    key = next((key for key in keys if collection.path(key) is not None), None)
    if key is None:
        raise ConfigError(f"{task.id}: has no templates (its kind is {task.kind})")
    served = _served(collection, key, (task,), out)
    return Place(task.id, "task", served.path, {key: served})


def _of_collection(
    name: str,
    collection: Collection,
    keys: Iterable[str],
    tasks: Mapping[str, Task],
    out: Path | None,
    tell: Callable[[str], None],
) -> Place:
    root = collection.root.resolve()
    inside = []
    for key in keys:
        path = collection.path(key)
        if path is not None and path.resolve().is_relative_to(root):
            inside.append(key)
        elif path is not None:
            tell(f"  {key}: skipped, since it is a link that leads out of {root}")
    by_key = _tasks_by_key(collection, inside, tasks)
    files = {key: _served(collection, key, tuple(by_key.get(key, ())), out) for key in inside}
    return Place(name, "folder", root, files)


def _served(collection: Collection, key: str, tasks: tuple[Task, ...], out: Path | None) -> Served:
    path = collection.path(key)
    assert path is not None
    source = path.resolve()
    target = source if out is None else out.resolve() / key / path.name
    return Served(key, source, target, tasks, _read_only(target, source))


def _read_only(target: Path, source: Path) -> str:
    """Return why a file may not be changed, or ``""``."""
    if target.is_relative_to(BUILTIN.resolve()):
        return _OURS
    if target.is_file() and not os.access(target, os.W_OK):
        return f"{target} is not writable by this user; give a folder for a copy with --out DIR"
    folder = next(parent for parent in target.parents if parent.is_dir())
    if not os.access(folder, os.W_OK):
        return f"{folder} is not writable by this user; give a folder for a copy with --out DIR"
    return ""


def _tasks_by_key(collection: Collection, keys: Iterable[str], tasks: Mapping[str, Task]) -> dict[str, list[Task]]:
    """Return key -> the tasks whose templates are searched for there, in the order of the catalogue."""
    known = set(keys)
    is_ours = collection.root == BUILTIN
    found: dict[str, list[Task]] = {}
    for task in tasks.values():
        if task.kind == "conversation" or (is_ours and (task.promptsource or task.template_file is not None)):
            continue
        names = (task.template_key,) if is_ours else (task.template_key, task.dataset, task.dataset.rpartition("/")[2])
        looked = [place for name in names if name for place in (f"{name}/{task.subset}", name)]
        key = next((each for each in looked if each in known), None)
        if key is not None:
            found.setdefault(key, []).append(task)
    return found
