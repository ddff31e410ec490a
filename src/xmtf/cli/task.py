"""``xmtf task``: what the catalogue holds, and what a task looks like when it is prompted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xmtf.cli.terminal.options import Offline
from xmtf.cli.terminal.printing import print_columns, print_json, print_text
from xmtf.errors import ConfigError, UnknownNameError, nearest
from xmtf.execution import say
from xmtf.json_types import JsonObject
from xmtf.languages.codes import normalize_language, same_language
from xmtf.recipe import load_recipe
from xmtf.sources.terms import ON_REQUEST
from xmtf.tasks import load_catalogue
from xmtf.tasks.prompting.show import preview_row
from xmtf.tasks.selection import is_foreign, matches

if TYPE_CHECKING:
    from xmtf.tasks import OutlinedSplit, Task
    from xmtf.templates.preview import Preview
    from xmtf.templates.template import Template

app = typer.Typer(no_args_is_help=True, help="List and show the tasks of the catalogue.")

RecipeOption = Annotated[Path | None, typer.Option("--recipe", help="Include this recipe's catalogues and own tasks.")]


@app.command("list")
def list_tasks(
    tasks: Annotated[list[str] | None, typer.Argument(help="Patterns of task ids, such as 'xnli/*'.")] = None,
    catalogue: Annotated[
        str,
        typer.Option(help="Only tasks of this catalogue or set: open, demo, xp3, xp3x, bloomz-l1, ..."),
    ] = "*",
    cluster: Annotated[str, typer.Option(help="Pattern of the task cluster.")] = "*",
    language: Annotated[str, typer.Option(help="Language of the targets: any code, or a pattern.")] = "*",
    role: Annotated[
        str, typer.Option(metavar="train|evaluation|validation|shots", help="Only tasks with splits for this role.")
    ] = "*",
    recipe: RecipeOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List tasks; every filter is a shell pattern.

    Example: xmtf task list --catalogue open --cluster translation --language sw
    """
    if not any(c in language for c in "*?["):
        language = normalize_language(language, "--language")
    known = _catalogue(recipe, catalogue).tasks
    found = [
        task
        for task in known.values()
        if matches(task.id, tasks or ["*"])
        and any(matches(name, [catalogue]) for name in (task.catalogue, *task.sets))
        and matches(task.cluster, [cluster])
        and matches(task.language, [language])
        and any(matches(name, [role]) for name in task.splits)
    ]
    if not found:
        near = nearest((tasks or [""])[0], {*known, *(task.partition("/")[0] + "/*" for task in known)})
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "without options, all are listed"
        raise ConfigError(f"no task matches; {hint}")
    if as_json:
        for task in found:
            print_json(_facts(task))
        return
    rows = [(task.id, task.language, task.cluster, task.kind, _splits(task), task.catalogue) for task in found]
    print_columns([("task", "language", "cluster", "kind", "splits", "catalogue"), *rows])
    languages = {task.language for task in found}
    clusters = {task.cluster for task in found}
    say(f"{len(found)} tasks, {len(clusters)} clusters, {len(languages)} languages")


@app.command("show")
def show_task(
    task_id: Annotated[str, typer.Argument(metavar="TASK", help="Task id, such as xnli/fr.")],
    split: Annotated[str | None, typer.Option(help="Split to take the row from; default: its first.")] = None,
    row: Annotated[int, typer.Option(min=0, help="Row to render, from 0.")] = 0,
    template: Annotated[
        str | None, typer.Option(help="Pattern of template names; default: all but translations for other rows.")
    ] = None,
    recipe: RecipeOption = None,
    offline: Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show a task: its source, and a row under each template.

    Example: xmtf task show xnli/fr --row 3
    """
    tasks = _catalogue(recipe, task_id.partition(":")[0]).tasks
    if task_id not in tasks:
        raise UnknownNameError("task", task_id, tasks)
    task = tasks[task_id]
    if not as_json:
        for key, value in _facts(task).items():
            if value not in ("", None, [], {}):
                print_text(f"{key:16} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")
    templates = _shown_templates(task, template)
    shown = preview_row(task, templates, split=split, row=row, offline=offline)
    if as_json:
        print_json({**_facts(task), "examples": list(map(_example, shown))})
        return
    for each in shown:
        print_text(f"\n--- {each.template} ({each.language}), {each.origin.split} row {each.origin.row}")
        if each.inputs is None:
            print_text(f"({each.problem})")
            continue
        print_text(each.inputs)
        print_text(f">>> {' ||| '.join(each.targets)}")
        if each.choices:
            print_text(f"    choices: {' | '.join(each.choices)}")
    if others := len(task.templates()) - len(templates):
        say(f"{others} more templates of {task.id}; --template '*' shows all")


def _shown_templates(task: Task, pattern: str | None) -> list[Template]:
    """Return the templates that match, or without a pattern those that the task's rows get."""
    if pattern is not None:
        return [each for each in task.templates() if matches(each.name, [pattern])]
    own = same_language(task.language)
    return [each for each in task.templates() if not is_foreign(each, own)]


def _example(preview: Preview) -> JsonObject:
    return {
        "template": preview.template,
        "prompt_language": preview.language,
        "split": preview.origin.split,
        "row": preview.origin.row,
        "inputs": preview.inputs,
        "targets": None if preview.inputs is None else " ||| ".join(preview.targets),
        "choices": preview.choices,
        "problem": preview.problem or "",
    }


@app.command("outline")
def outline(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, such as recipes/data/xp3.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides, such as mixture.cap_examples=100.")] = None,
    by: Annotated[str, typer.Option(metavar="cluster|language|dataset", help="What to group by.")] = "cluster",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per split of a task.")] = False,
) -> None:
    """Outline a recipe's mixture from the catalogue alone.

    Reads no data and no templates. Template counts are those published for the original's tasks, or `-`.

    Example: xmtf task outline recipes/data/xp3x.yaml --by language
    """
    if by not in ("cluster", "language", "dataset"):
        raise UnknownNameError("column", by, ("cluster", "language", "dataset"), "--by")
    loaded = load_recipe(recipe, overrides or [])
    mixture = loaded.recipe.mixture
    parts = load_catalogue(loaded).outline(
        mixture.tasks, role="train", held_out=mixture.held_out, where="mixture.tasks"
    )
    if as_json:
        for part in parts:
            print_json({**_facts(part.task), "split": part.split, "num_templates": part.num_templates})
        return
    groups: dict[str, list[OutlinedSplit]] = {}
    for part in parts:
        groups.setdefault(getattr(part.task, by), []).append(part)
    rows = [_outline_row(name, groups[name]) for name in sorted(groups)]
    print_columns([(by, "tasks", "splits", "templates"), *rows], numbers=[1, 2, 3])
    languages = {part.task.language for part in parts}
    say(f"{len({part.task.id for part in parts})} tasks, {len(parts)} splits, {len(languages)} languages")


def _outline_row(name: str, parts: list[OutlinedSplit]) -> tuple[str, ...]:
    """Return tasks, splits, and templates over all tasks of one group."""
    templates = {part.task.id: part.num_templates for part in parts}
    counted = [number for number in templates.values() if number is not None]
    return name, str(len(templates)), str(len(parts)), str(sum(counted)) if len(counted) == len(templates) else "-"


def _catalogue(recipe: Path | None, family: str) -> Any:
    return load_catalogue(load_recipe(recipe) if recipe else None, sets=[family])


def _facts(task: Task) -> JsonObject:
    return {
        "task": task.id,
        "cluster": task.cluster,
        "dataset": task.dataset,
        "subset": task.subset,
        "language": task.language,
        "input_languages": list(task.input_languages),
        "splits": {role: list(splits) for role, splits in task.splits.items()},
        "kind": task.kind,
        "metrics": list(task.metrics),
        "catalogue": task.catalogue,
        "sets": list(task.sets),
        "templates": str(task.template_file or task.template_key),
        "promptsource": task.promptsource,
        "only_templates": list(task.only_templates),
        "licence": task.licence,
        "home": task.home,
        "checked": "" if task.catalogue in ("own", "demo") else task.checked,
        "adapter": task.adapter,
        "revision": task.revision,
        "commit": task.commit,
        "join": {} if task.join is None else {"on": task.join.on, "subsets": dict(task.join.subsets)},
        "gated": ON_REQUEST if task.gated else "",
        "note": task.note,
    }


def _splits(task: Task) -> str:
    return "; ".join(f"{role}: {', '.join(splits)}" for role, splits in task.splits.items())
