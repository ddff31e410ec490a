"""From the selections of a recipe to slices: which split of which task with which templates.

A task is taken by the first selection that matches it. What is held out is left out as target
language, as language in the inputs, as prompt language, as cluster and as template. A pattern that
matches nothing at all is an error: a misspelt held-out language must not end up in training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.languages import normalize_language
from xmtf.recipe import TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.tasks.task import Role, Slice, Task
from xmtf.templates import Template

__all__ = ["is_held_out", "matches", "matching_tasks", "normalized", "select_slices"]


def matches(name: str, patterns: Iterable[str], excluded: Iterable[str] = ()) -> bool:
    """Whether a name matches one of the patterns and none of the excluded ones.

    >>> matches("xnli/fr", ["xnli/*"]), matches("xnli/fr", ["*"], ["*/fr"])
    (True, False)
    """
    return any(fnmatchcase(name, p) for p in patterns) and not any(fnmatchcase(name, p) for p in excluded)


def select_slices(
    tasks: Mapping[str, Task],
    selections: Sequence[TaskSelection],
    *,
    role: Role,
    held_out: HeldOut | None = None,
    where: str = "tasks",
) -> tuple[Slice, ...]:
    """Return the slices that the selections take, in their order and then that of the catalogue.

    Args:
        tasks: Task id -> task.
        selections: The recipe's selections; the first one that matches a task takes it.
        role: Which of the task's splits are taken where a selection names none.
        held_out: What must not be among the slices.
        where: Names the selections in errors, such as ``mixture.tasks``.

    Raises:
        UnknownNameError: A pattern matches no name of the catalogue.
        ConfigError: A selection takes nothing; says which filter left nothing.
    """
    held_out = normalized(held_out or HeldOut())
    everything = list(tasks.values())
    _check_held_out(held_out, everything)
    _check_held_out_templates(held_out, everything, selections, where)
    taken: set[str] = set()
    slices: list[Slice] = []
    for index, selection in enumerate(selections):
        label = f"{where}.{index}"
        candidates = matching_tasks(selection, everything, label)
        found = [
            part
            for task in candidates
            if task.id not in taken and not is_held_out(task, held_out)
            for part in _slices_of(task, selection, role, held_out, index)
        ]
        if not found and not (candidates and all(task.id in taken for task in candidates)):
            raise ConfigError(_nothing_left(label, candidates, selection, role, held_out))
        taken.update(part.task.id for part in found)
        slices += found
    return tuple(slices)


def _slices_of(task: Task, selection: TaskSelection, role: Role, held_out: HeldOut, index: int) -> Iterable[Slice]:
    splits = selection.splits or task.splits.get(role, ())
    templates = _matching_templates(task, selection, held_out) if splits else ()
    for split in splits:
        skipped = task.skip_templates.get(split, ())
        chosen = tuple(template for template in templates if not matches(template.name, skipped))
        caps = [cap for cap in (selection.cap_examples, task.cap_examples) if cap is not None]
        if chosen:
            yield Slice(
                task,
                split,
                chosen,
                min(caps, default=None),
                selection.limit_rows,
                selection.rate,
                selection=index,
                cap_policy=selection.cap_policy,
                cap_score=selection.cap_score,
            )


def matching_tasks(selection: TaskSelection, tasks: Sequence[Task], where: str) -> list[Task]:
    """Return the tasks that match all filters of a selection; those of the xP3 family only where it names their set.

    Raises:
        UnknownNameError: A pattern matches nothing.
    """
    if selection.catalogue is not None:
        known = {name for task in tasks for name in (task.catalogue, *task.sets)}
        if selection.catalogue not in known:
            raise UnknownNameError("catalogue", selection.catalogue, known, f"{where}.catalogue")
        tasks = [task for task in tasks if selection.catalogue in (task.catalogue, *task.sets)]
    else:
        tasks = [task for task in tasks if not task.promptsource]
    languages, without = (
        [_language_pattern(pattern) for pattern in patterns]
        for patterns in (selection.languages, selection.exclude_languages)
    )
    for kind, patterns, names in (
        ("task", selection.tasks, [task.id for task in tasks]),
        ("cluster", selection.clusters, {task.cluster for task in tasks}),
        ("language", languages, {task.language for task in tasks}),
    ):
        _check_patterns(kind, patterns, names, f"{where}.{kind}s")
    return [
        task
        for task in tasks
        if matches(task.id, selection.tasks, selection.exclude_tasks)
        and matches(task.cluster, selection.clusters, selection.exclude_clusters)
        and matches(task.language, languages, without)
    ]


def _matching_templates(task: Task, selection: TaskSelection, held_out: HeldOut) -> tuple[Template, ...]:
    prompt_languages = [
        task.language if pattern == "same" else _language_pattern(pattern) for pattern in selection.prompt_languages
    ]
    return tuple(
        template
        for template in task.templates()
        if matches(template.name, selection.templates, (*selection.exclude_templates, *held_out.templates))
        and matches(template.language, prompt_languages, held_out.languages)
    )


def is_held_out(task: Task, held_out: HeldOut) -> bool:
    """Whether a task's cluster, target language or language in the inputs is held out.

    A pattern of subsets (``*-bre``) may have any language in its inputs: it is out where any language is.
    """
    if "*" in task.subset and held_out.languages:
        return True
    languages = (task.language, *task.input_languages)
    return any(matches(language, held_out.languages) for language in languages) or matches(
        task.cluster, held_out.clusters
    )


def _language_pattern(pattern: str) -> str:
    """Return the pattern with a plain language in any spelling turned into our code."""
    return pattern if any(c in pattern for c in "*?[") else normalize_language(pattern)


def normalized(held_out: HeldOut) -> HeldOut:
    """Return what is held out with its languages as our codes."""
    return held_out.model_copy(update={"languages": tuple(_language_pattern(p) for p in held_out.languages)})


def _check_held_out(held_out: HeldOut, tasks: Sequence[Task]) -> None:
    languages = {language for task in tasks for language in (task.language, *task.input_languages)}
    _check_patterns("language", held_out.languages, languages, "held_out.languages")
    _check_patterns("cluster", held_out.clusters, {task.cluster for task in tasks}, "held_out.clusters")


def _check_held_out_templates(
    held_out: HeldOut, tasks: Sequence[Task], selections: Sequence[TaskSelection], where: str
) -> None:
    if held_out.templates:
        chosen = [
            task
            for index, selection in enumerate(selections)
            for task in matching_tasks(selection, tasks, f"{where}.{index}")
        ]
        names = {template.name for task in chosen for template in task.templates()}
        _check_patterns("template", held_out.templates, names, "held_out.templates")


def _check_patterns(kind: str, patterns: Iterable[str], names: Iterable[str], where: str) -> None:
    names = list(names)
    for pattern in patterns:
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError(kind, pattern, names, where)


def _nothing_left(
    where: str, candidates: Sequence[Task], selection: TaskSelection, role: Role, held_out: HeldOut
) -> str:
    """Say which filter left nothing of a selection."""
    if not candidates:
        return f"{where}: no task matches all of its filters (tasks, clusters, languages, exclude_*) together"
    left = [task for task in candidates if not is_held_out(task, held_out)]
    some = ", ".join(task.id for task in candidates[:3])
    if not left:
        return f"{where}: everything it takes ({some}, ...) is held out; change the selection or mixture.held_out"
    if not selection.splits and not any(task.splits.get(role) for task in left):
        return f"{where}: none of its tasks ({some}, ...) has a split for {role}; name one with `splits`"
    names = sorted({template.name for task in left for template in task.templates()})
    return (
        f"{where}: no template of its tasks ({some}, ...) matches `templates`, `prompt_languages` and what is held "
        f"out; their templates: {', '.join(names[:8])}"
    )
