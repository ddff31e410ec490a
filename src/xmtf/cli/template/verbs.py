"""``xmtf template``: the templates that there are, what they render, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xmtf.cli.template.exchange import export, import_, status
from xmtf.cli.template.serve import serve
from xmtf.cli.template.translate import translate
from xmtf.cli.terminal.options import Offline
from xmtf.cli.terminal.printing import print_columns, print_json, print_text
from xmtf.errors import ConfigError, UnknownNameError
from xmtf.execution import say
from xmtf.languages.codes import normalize_language
from xmtf.recipe import load_task_recipe
from xmtf.sources import read_source
from xmtf.tasks import load_catalogue
from xmtf.tasks.prompting.show import preview_row
from xmtf.templates import load_templates, open_collection, read_template_file
from xmtf.templates.lint import lint_collection, lint_file, lint_templates
from xmtf.templates.preview import side_by_side
from xmtf.text.table import terminal_width

if TYPE_CHECKING:
    from xmtf.templates import Collection, Template
    from xmtf.templates.lint import Finding

app = typer.Typer(no_args_is_help=True, help="List, show, render, lint and translate templates.")
for _name, _verb in (("translate", translate), ("export", export), ("import", import_), ("status", status)):
    app.command(_name)(_verb)
app.command("serve")(serve)

RootOption = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Folder of templates: a promptsource checkout, or `promptsource` for the installed package."
    ),
]
TemplateOption = Annotated[str, typer.Option("--template", help="Pattern of template names.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@app.command("list")
def list_templates(
    keys: Annotated[list[str] | None, typer.Argument(help="Patterns of keys, such as 'cldr/*'.")] = None,
    language: Annotated[str, typer.Option(help="Only templates written in this language.")] = "*",
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """List templates by key, name, language and state.

    Example: xmtf template list 'cldr/*' --language fr
    """
    code = language if language == "*" else normalize_language(language, "--language")
    collection = open_collection(root)
    found = [
        (key, template)
        for key in _keys(collection, keys or ["*"])
        for template in collection.load(key)
        if code in ("*", template.language)
    ]
    if not found:
        raise ConfigError("no template matches; without options, all are listed")
    if as_json:
        for key, template in found:
            print_json({"key": key, **asdict(template), "hash": template.hash})
        return
    rows = [(key, each.name, each.language, each.translation, _state(each)) for key, each in found]
    print_columns([("key", "template", "language", "translation", "state"), *rows])
    say(f"templates: {len(found)}, files: {len({key for key, _ in found})}, in {collection.root}")


@app.command("show")
def show(
    key: Annotated[str, typer.Argument(help="Task id, key of a collection or file, such as xnli/fr.")],
    template: TemplateOption = "*",
    root: RootOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the source of templates.

    Example: xmtf template show paws-x/en --template '*same*'
    """
    for each in _matching(_templates_of(key, root), template, key):
        if as_json:
            print_json({**asdict(each), "hash": each.hash})
            continue
        told = [each.language, each.translation if each.translation != "none" else "", _state(each), *each.metrics]
        print_text(f"--- {each.name} ({', '.join(word for word in told if word)})")
        print_text(each.jinja)
        if each.answer_choices is not None:
            print_text(f"    choices: {each.answer_choices}")


@app.command("render")
def render(
    task: Annotated[str, typer.Argument(metavar="TASK", help="Task id, such as paws-x/en.")],
    row: Annotated[int, typer.Option(min=0, help="Row of the split, from 0.")] = 0,
    split: Annotated[str | None, typer.Option(help="Split to take the row from; default: the task's first.")] = None,
    template: TemplateOption = "*",
    legacy: Annotated[bool, typer.Option("--legacy", help="Render as promptsource did, including its bugs.")] = False,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Include this recipe's catalogues and own tasks.")
    ] = None,
    root: RootOption = None,
    offline: Offline = False,
    as_json: JsonOption = False,
) -> None:
    """Render one row under each template.

    Prints the prompt on the left, the target and its choices on the right.

    Example: xmtf template render paws-x/en --row 0
    """
    known = _task(task, recipe)
    if known is None:
        raise UnknownNameError("task", task, _catalogue(recipe).tasks)
    templates = _matching(known.templates() if root is None else _templates_of(task, root), template, task)
    mode: Literal["legacy", "fixed"] = "legacy" if legacy else "fixed"
    for shown in preview_row(known, templates, split=split, row=row, mode=mode, offline=offline):
        if as_json:
            print_json(asdict(shown))
        else:
            print_text(side_by_side(shown, _width()))


@app.command("lint")
def lint(
    places: Annotated[
        list[str] | None, typer.Argument(help="Task ids (checked on rows), keys, or files; default: all of ours.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Rows to render per split of a task; 0: none.")] = 500,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="Include this recipe's tasks; without places, check its own tasks.")
    ] = None,
    root: RootOption = None,
    offline: Offline = False,
    strict: Annotated[bool, typer.Option("--strict", help="Also exit with 1 for warnings.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Omit informational findings.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check templates for errors.

    The exit code is 1 if there are errors.

    Example: xmtf template lint xnli/fr paws-x mine/templates.yaml
    Example: xmtf template lint --recipe examples/own-data/recipe.yaml
    """
    found = _findings(places or [], rows, root, offline, recipe)
    found = [each for each in found if not quiet or each.severity != "info"]
    for each in found:
        if as_json:
            print_json(asdict(each))
        else:
            name = f" {each.template!r}" if each.template else ""
            print_text(f"{each.severity:7} {each.check:21} {each.where}{name}: {each.message}")
    counts = {severity: sum(each.severity == severity for each in found) for severity in ("error", "warning", "info")}
    say(", ".join(f"{severity}: {count}" for severity, count in counts.items()))
    if counts["error"] or (strict and counts["warning"]):
        raise typer.Exit(1)


def _findings(places: list[str], rows: int, root: Path | None, offline: bool, recipe: Path | None) -> list[Finding]:
    collection = open_collection(root)
    if not places and recipe is not None:
        places = [task.id for task in _catalogue(recipe).tasks.values() if task.catalogue == "own"]
        if not places:
            raise ConfigError(f"{recipe}: has no own_tasks; give tasks or files to check")
    if not places:
        if not collection.keys():
            raise ConfigError(f"{collection.root}: holds no templates.yaml, in it or in its folders; give a file")
        return lint_collection(collection, collection.keys())
    found: list[Finding] = []
    for place in places:
        if place.endswith((".yaml", ".yml")):
            found += lint_file(Path(place))
            continue
        task = _task(place, recipe) if root is None else None
        if task is None:
            keys = _keys(collection, [place, f"{place}/*"])
            if not keys and Path(place).is_dir():
                raise ConfigError(f"{place}: is a folder; give its YAML files, or --root {place} if it is a collection")
            if not keys:
                tasks = _catalogue(recipe).tasks if root is None else ()
                raise UnknownNameError("task or key of templates", place, {*collection.keys(), *tasks})
            found += lint_collection(collection, keys)
        else:
            splits = dict.fromkeys(name for splits in task.splits.values() for name in splits) if rows else {}
            tables = {split: read_source(task.source(split), offline=offline).table.slice(0, rows) for split in splits}
            found += lint_templates(task.templates(), task.id, tables)
    return found


def _state(template: Template) -> str:
    return template.translated.state if template.translated is not None else ""


def _keys(collection: Collection, patterns: list[str]) -> list[str]:
    return [key for key in collection.keys() if any(fnmatchcase(key, pattern) for pattern in patterns)]  # noqa: SIM118


def _templates_of(key: str, root: Path | None) -> tuple[Template, ...]:
    if key.endswith((".yaml", ".yml")):
        return read_template_file(Path(key))
    task = _task(key, None) if root is None else None
    return task.templates() if task is not None else load_templates(key, root=root)


def _matching(templates: tuple[Template, ...], pattern: str, place: str) -> list[Template]:
    found = [each for each in templates if each.name == pattern or fnmatchcase(each.name, pattern)]
    if not found:
        raise UnknownNameError("template", pattern, [each.name for each in templates], place)
    return found


def _catalogue(recipe: Path | None) -> Any:
    return load_catalogue(load_task_recipe(recipe) if recipe else None)


def _task(task: str, recipe: Path | None) -> Any:
    return _catalogue(recipe).tasks.get(task)


def _width() -> int:
    return min(160, terminal_width() or 100)
