"""What a recipe would take, from the catalogue alone: no data is read and no template either.

Plans of the xP3 family are looked at on machines that have neither promptsource's templates nor the
datasets; the catalogue knows how many templates each task has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xmtf.recipe import TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.tasks.selection import select_parts
from xmtf.tasks.task import Role, Task

__all__ = ["OutlinedSplit", "outline_slices"]


@dataclass(frozen=True, slots=True)
class OutlinedSplit:
    """One split of a task that a recipe would take.

    Attributes:
        task: The task.
        split: The split.
        num_templates: Templates that the original has for it, before any filter; None where nobody counted.
        selection: Index of the selection that takes it.
    """

    task: Task
    split: str
    num_templates: int | None
    selection: int


def outline_slices(
    tasks: Mapping[str, Task],
    selections: Sequence[TaskSelection],
    *,
    role: Role,
    held_out: HeldOut | None = None,
    where: str = "tasks",
) -> tuple[OutlinedSplit, ...]:
    """Return the splits that the selections take; filters on templates and prompt languages are not applied.

    Splits on which the catalogue skips every template are left out.

    Args:
        tasks: Task id -> task.
        selections: The recipe's selections; the first one that matches a task takes it.
        role: Which of the task's splits are taken where a selection names none.
        held_out: What must not be among them.
        where: Names the selections in errors.

    Raises:
        UnknownNameError: A pattern matches no name of the catalogue.
    """

    def parts_of(task: Task, splits: Sequence[str], _: TaskSelection, index: int) -> list[OutlinedSplit]:
        left = [split for split in splits if "*" not in task.skip_templates.get(split, ())]
        return [OutlinedSplit(task, split, task.num_templates, index) for split in left]

    return select_parts(tasks, selections, parts_of, role=role, held_out=held_out, where=where)
