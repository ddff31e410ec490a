"""From the selections of a recipe to slices: which split of which task with which templates.

A task is taken by the first selection that matches it. What is held out is left out as target
language, as language in the inputs, as prompt language, as cluster and as template. A pattern that
matches nothing at all is an error: a misspelt held-out language must not end up in training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import translate
from functools import cache, lru_cache
from itertools import chain
from typing import TypeVar

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.execution import warn
from xmtf.languages.codes import language_set, normalize_language, relatives, same_language
from xmtf.recipe import TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.tasks.task import Role, RowLanguages, Slice, Task
from xmtf.templates import Template

__all__ = [
    "check_patterns",
    "dataset_names",
    "is_foreign",
    "language_pattern",
    "matches",
    "normalized",
    "select_parts",
    "select_slices",
    "takes_prompt",
]

Part = TypeVar("Part")


def matches(name: str, patterns: Iterable[str], excluded: Iterable[str] = ()) -> bool:
    """Whether a name matches one of the patterns and none of the excluded ones.

    >>> matches("xnli/fr", ["xnli/*"]), matches("xnli/fr", ["*"], ["*/fr"])
    (True, False)
    """
    return _matcher(tuple(patterns))(name) and not _matcher(tuple(excluded))(name)


@lru_cache(maxsize=4096)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether a name matches one of the patterns, as a function: catalogues have thousands of names."""
    if "*" in patterns:
        return lambda name: True
    pattern = re.compile("|".join(map(translate, patterns)) or "(?!)")
    return lambda name: pattern.match(name) is not None


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
    _check_held_out_templates(held_out, list(tasks.values()), selections, where)
    for index, selection in enumerate(selections):
        _check_templates(selection, list(tasks.values()), f"{where}.{index}")

    def nothing_left(label: str, candidates: Sequence[Task], selection: TaskSelection) -> ConfigError:
        return ConfigError(_nothing_left(label, candidates, selection, role, held_out))

    lacking: dict[int, list[str]] = {}
    promptless: dict[str, list[str]] = {}

    def slices_of(task: Task, splits: Sequence[str], selection: TaskSelection, index: int) -> Iterator[Slice]:
        if task.language_column and role != "train" and splits:
            raise ConfigError(
                f"{where}.{index}: the rows of task {task.id} have their own languages, but an evaluated task has a "
                f"single one; write one task per language, with `language` and `where: {{{task.language_column}: ...}}`"
            )
        templates = _matching_templates(task, selection, held_out) if splits else ()
        if splits and task.may_lack_templates and not task.templates():
            promptless.setdefault(task.promptsource, []).append(task.id)
        if splits and not templates and _matching_templates(task, _any_language(selection), held_out):
            lacking.setdefault(index, []).append(task.id)
        for split in splits:
            skipped = task.skip_templates.get(split, ())
            chosen = tuple(template for template in templates if not matches(template.name, skipped))
            if chosen:
                part = Slice(
                    task,
                    split,
                    chosen,
                    task.cap_examples,
                    selection.limit_rows,
                    selection.rate,
                    selection=index,
                    cap_policy=selection.cap_policy,
                    cap_score=selection.cap_score,
                    where=(selection.where,) if selection.where else (),
                    row_languages=_row_languages(task, selection, held_out),
                )
                yield part.capped(selection.cap_examples)

    parts = select_parts(tasks, selections, slices_of, role=role, held_out=held_out, where=where, nothing=nothing_left)
    taken = {part.task.id for part in parts}
    for index, names in lacking.items():
        left_out = [name for name in names if name not in taken]
        if left_out:
            _list_lacking(f"{where}.{index}", left_out, selections[index])
    for branch, names in promptless.items():
        _warn_once(f"  {where}: {len(names)} tasks have no prompts on branch {branch} and are skipped: {_some(names)}")
    return _in_turn(parts, selections)


def _in_turn(parts: tuple[Slice, ...], selections: Sequence[TaskSelection]) -> tuple[Slice, ...]:
    """Return the slices; those of a parallel set whose selection spreads its rows each have a turn of their own."""
    sets: dict[tuple[int, str, str], list[Slice]] = {}
    for part in parts:
        if selections[part.selection].parallel_rows == "spread" and part.task.parallel and part.limit_rows is not None:
            sets.setdefault((part.selection, part.task.parallel, part.split), []).append(part)
    turns = {id(part): (place, len(members)) for members in sets.values() for place, part in enumerate(members)}
    return tuple(replace(part, turn=turns[id(part)]) if id(part) in turns else part for part in parts)


def _any_language(selection: TaskSelection) -> TaskSelection:
    return selection.model_copy(update={"prompt_languages": ("?*",)})


def _list_lacking(where: str, names: Sequence[str], selection: TaskSelection) -> None:
    """Describe which tasks are left out since no template is in the prompt languages asked for, or refuse that."""
    asked = ", ".join(selection.prompt_languages)
    text = f"{where}: {len(names)} tasks have no template in prompt_languages [{asked}]"
    if selection.without_prompts == "error":
        raise ConfigError(f"{text}: {', '.join(names)}; add a language, or set without_prompts: list")
    _warn_once(f"  {text} and are skipped: {_some(names)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"{', '.join(names[:12])}{more}"


@cache
def _warn_once(text: str) -> None:
    warn(text)


def select_parts(
    tasks: Mapping[str, Task],
    selections: Sequence[TaskSelection],
    parts_of: Callable[[Task, Sequence[str], TaskSelection, int], Iterable[Part]],
    *,
    role: Role,
    held_out: HeldOut | None = None,
    where: str = "tasks",
    nothing: Callable[[str, Sequence[Task], TaskSelection], Exception] | None = None,
) -> tuple[Part, ...]:
    """Return parts of the tasks that the selections take, in their order and then that of the catalogue.

    Args:
        tasks: Task id -> task.
        selections: The recipe's selections; the first one that has parts of a task takes it.
        parts_of: Returns the parts of (task, its splits, selection, index of the selection).
        role: Which of the task's splits are taken where a selection names none.
        held_out: What must not be among them.
        where: Names the selections in errors.
        nothing: Makes the error where a selection (its name, the tasks that match it, itself) has no parts.

    Raises:
        UnknownNameError: A pattern matches no name of the catalogue.
    """
    held_out = normalized(held_out or HeldOut())
    everything = list(tasks.values())
    _check_held_out(held_out, everything)
    taken: set[str] = set()
    parts: list[Part] = []
    for index, selection in enumerate(selections):
        label = f"{where}.{index}"
        candidates = _matching_tasks(selection, everything, label)
        found = {
            task.id: tuple(parts_of(task, selection.splits or task.splits.get(role, ()), selection, index))
            for task in candidates
            if task.id not in taken and not _is_held_out(task, held_out)
        }
        if nothing and not any(found.values()) and not (candidates and all(task.id in taken for task in candidates)):
            raise nothing(label, candidates, selection)
        taken.update(name for name, some in found.items() if some)
        parts += chain.from_iterable(found.values())
    return tuple(parts)


def _matching_tasks(selection: TaskSelection, tasks: Sequence[Task], where: str) -> list[Task]:
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
    languages, without = _languages_of(selection)
    known = {task.language for task in tasks if not task.language_column}
    if len(known) < len({task.language for task in tasks}):  # whose rows may be in any language
        known |= {*language_set("xp3x"), *language_set("mt5"), *(code for code in languages if "*" not in code)}
    for kind, patterns, excluded, names in (
        ("task", selection.tasks, selection.exclude_tasks, [task.id for task in tasks]),
        ("cluster", selection.clusters, selection.exclude_clusters, {task.cluster for task in tasks}),
        ("language", languages, without, known),
    ):
        check_patterns(kind, patterns, names, f"{where}.{kind}s")
        check_patterns(kind, excluded, names, f"{where}.exclude_{kind}s")
    kinds = {task.cluster for task in tasks}
    clusters = {name for name in kinds if matches(name, selection.clusters, selection.exclude_clusters)}
    spoken = {name for name in {task.language for task in tasks} if matches(name, languages, without)}
    return [
        task
        for task in tasks
        if task.cluster in clusters
        and (task.language_column or task.language in spoken)
        and matches(task.id, selection.tasks, selection.exclude_tasks)
    ]


def _languages_of(selection: TaskSelection) -> tuple[list[str], list[str]]:
    """Return the patterns of languages that a selection takes, and those that it leaves out."""
    both = (selection.languages, selection.exclude_languages)
    languages, without = ([language_pattern(pattern) for pattern in patterns] for patterns in both)
    return languages, without


def _row_languages(task: Task, selection: TaskSelection, held_out: HeldOut) -> RowLanguages | None:
    """Return which rows are taken where they say their language."""
    if not task.language_column:
        return None
    languages, without = _languages_of(selection)
    return RowLanguages(tuple(languages), tuple(without), held_out.languages, selection.prompt_languages)


def _matching_templates(task: Task, selection: TaskSelection, held_out: HeldOut) -> tuple[Template, ...]:
    return tuple(
        template
        for template in task.templates()
        if matches(template.name, selection.templates, (*selection.exclude_templates, *held_out.templates))
        and takes_prompt(
            template,
            # rows in the template's language may be there; which rows are, is decided when they are read
            template.language if task.language_column else task.language,
            selection.prompt_languages,
            held_out.languages,
            is_wordless=bool(task.language_column) and template.is_wordless,
        )
    )


def takes_prompt(
    template: Template,
    language: str,
    patterns: Sequence[str],
    without: Sequence[str] = (),
    *,
    is_wordless: bool = False,
) -> bool:
    """Whether a template is taken for rows in a language.

    Args:
        template: The template.
        language: Code of the language of the rows.
        patterns: Of languages of templates, ``same`` for that of the rows.
        without: Patterns of languages that are left out.
        is_wordless: Whether the template has no language but that of the rows.
    """
    listed = [language if pattern == "same" else language_pattern(pattern) for pattern in patterns]
    if is_wordless:
        return True
    named = [pattern for pattern in listed if pattern != "*"]
    return matches(template.language, named if is_foreign(template, same_language(language)) else listed, without)


def is_foreign(template: Template, own: Sequence[str]) -> bool:
    """Whether it is a translation into another language than the rows', which only a pattern that names it takes.

    Args:
        template: A prompt.
        own: Codes of the language of the rows (:func:`xmtf.languages.codes.same_language`).
    """
    return template.translated is not None and template.language not in own


def _is_held_out(task: Task, held_out: HeldOut) -> bool:
    """Whether a task's cluster, target language or language in the inputs is held out.

    A pattern of subsets (``*-bre``) may have any language in its inputs: it is out where any language is.
    """
    if "*" in task.subset and held_out.languages:
        return True
    languages = (*(() if task.language_column else (task.language,)), *task.input_languages)
    return (
        any(matches(language, held_out.languages) for language in languages)
        or matches(task.cluster, held_out.clusters)
        or any(matches(name, held_out.datasets) for name in dataset_names(task.dataset))
    )


def dataset_names(dataset: str) -> tuple[str, str]:
    """Return what a pattern of datasets may match: the id, and the id without its owner."""
    return dataset, dataset.rpartition("/")[2]


def language_pattern(pattern: str) -> str:
    """Return the pattern with a plain language in any spelling turned into our code."""
    return pattern if any(c in pattern for c in "*?[") else normalize_language(pattern)


def normalized(held_out: HeldOut) -> HeldOut:
    """Return what is held out with its languages as our codes, under all codes of each language."""
    languages = [code for pattern in held_out.languages for code in same_language(language_pattern(pattern))]
    if held_out.relatives:
        languages += [other for code in languages for other in relatives(code)]
    return held_out.model_copy(update={"languages": tuple(dict.fromkeys(languages))})


def _check_held_out(held_out: HeldOut, tasks: Sequence[Task]) -> None:
    if held_out.languages:
        present = {language for task in tasks for language in (task.language, *task.input_languages)}
        if any(task.language_column for task in tasks):  # whose rows may be in any language
            present |= {*language_set("xp3x"), *language_set("mt5")}
        languages = {code for language in present for code in (*same_language(language), *relatives(language))}
        check_patterns("language", held_out.languages, languages, "held_out.languages")
    check_patterns("cluster", held_out.clusters, {task.cluster for task in tasks}, "held_out.clusters")
    if held_out.datasets:
        datasets = {name for task in tasks for name in dataset_names(task.dataset)}
        check_patterns("dataset", held_out.datasets, datasets, "held_out.datasets")


def _check_held_out_templates(
    held_out: HeldOut, tasks: Sequence[Task], selections: Sequence[TaskSelection], where: str
) -> None:
    if held_out.templates:
        chosen = [
            task
            for index, selection in enumerate(selections)
            for task in _matching_tasks(selection, tasks, f"{where}.{index}")
        ]
        names = {template.name for task in chosen for template in task.templates()}
        check_patterns("template", held_out.templates, names, "held_out.templates")


def _check_templates(selection: TaskSelection, tasks: Sequence[Task], where: str) -> None:
    """Refuse a pattern that no template of the selection's tasks has; where the files of some are missing, none is."""
    if selection.templates == ("*",) and not selection.exclude_templates:
        return
    templates = [task.templates() for task in _matching_tasks(selection, tasks, where)]
    if all(templates):
        names = {template.name for each in templates for template in each}
        check_patterns("template", selection.templates, names, f"{where}.templates")
        check_patterns("template", selection.exclude_templates, names, f"{where}.exclude_templates")


def check_patterns(kind: str, patterns: Iterable[str], names: Iterable[str], where: str) -> None:
    """Refuse a pattern that matches none of the names.

    Raises:
        UnknownNameError: Names the pattern.
    """
    names = list(names)
    for pattern in patterns:
        if not any(map(_matcher((pattern,)), names)) and pattern != "*":
            raise UnknownNameError(kind, pattern, names, where)


def _nothing_left(
    where: str, candidates: Sequence[Task], selection: TaskSelection, role: Role, held_out: HeldOut
) -> str:
    """Describe which filter left nothing of a selection."""
    if not candidates:
        return f"{where}: no task matches all of its filters (tasks, clusters, languages, exclude_*) together"
    left = [task for task in candidates if not _is_held_out(task, held_out)]
    some = ", ".join(task.id for task in candidates[:3])
    if not left:
        return f"{where}: everything it selects ({some}, ...) is held out; change the selection or mixture.held_out"
    if not selection.splits and not any(task.splits.get(role) for task in left):
        return f"{where}: none of its tasks ({some}, ...) has a split for {role}; give one with `splits`"
    names = sorted({template.name for task in left for template in task.templates()})
    if not names:
        return f"{where}: none of its tasks ({some}, ...) has a prompt: there is no template in their files"
    return (
        f"{where}: no template of its tasks ({some}, ...) matches `templates`, `prompt_languages` and what is held "
        f"out; their templates: {', '.join(names[:8])}"
    )
