"""Where the examples come from that a suite shows before its prompts: which task, which split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from xmtf.errors import ConfigError
from xmtf.languages.codes import normalize_language
from xmtf.recipe.schema import Shots
from xmtf.tasks.task import Task

__all__ = ["shot_source"]

_ROLES = ("shots", "validation", "train")


def shot_source(shots: Shots, task: Task, split: str, tasks: Mapping[str, Task], where: str) -> tuple[Task, str]:
    """Return the task and the split that the shots before the items of a split are rows of.

    Args:
        shots: What the suite asks for.
        task: The task that is asked.
        split: Its split.
        tasks: All tasks, among which one in another language is searched for.
        where: Names the suite in errors.

    Raises:
        ConfigError: There is no such split or language, or the split may hold translations that nobody can tell.
        UnknownNameError: The language is unknown.
    """
    of = _in_language(shots.language, task, tasks, where)
    chosen = shots.split or next((splits[0] for role in _ROLES if (splits := of.splits.get(role))), None)
    if chosen is None:
        raise ConfigError(
            f"{where}: the catalogue lists no split of {of.id} to take them from; give one with `split` (--shot-split)"
        )
    if of.id != task.id and chosen == split and not (task.parallel and task.parallel == of.parallel):
        raise ConfigError(
            f"{where}: {of.id} [{chosen}] may hold translations of the items of {task.id} [{split}], and which rows "
            f"they are is not recorded (`parallel` in the catalogue); give another split"
        )
    return of, chosen


def _in_language(wanted: str, task: Task, tasks: Mapping[str, Task], where: str) -> Task:
    """Return the task, or that of its dataset in another language."""
    language = task.language if wanted == "same" else normalize_language(wanted, f"{where}.language")
    if language == task.language:
        return task
    root = _root(task)
    found = [other for other in tasks.values() if other.language == language and _root(other) == root]
    if len(found) != 1:
        have = ", ".join(other.id for other in found) or "none"
        raise ConfigError(f"{where}.language: one task of {root} in {language} is needed, but there are: {have}")
    return replace(found[0], templates_root=task.templates_root)


def _root(task: Task) -> str:
    return task.id.rpartition("/")[0] or task.id
