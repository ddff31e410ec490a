"""``xmtf recipe``: the recipes that there are, and what one says once every default and override is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from xmtf.artefacts.ownership import new_file
from xmtf.cli.terminal.options import Overrides, Overwrite, PrintJson, RecipePath
from xmtf.cli.terminal.printing import print_columns, print_files, print_json, print_text
from xmtf.files import write_json
from xmtf.json_types import JsonObject
from xmtf.recipe import load_recipe, load_yaml
from xmtf.recipe.json_schema import recipe_schema
from xmtf.recipe.packaged import packaged_recipes, short_name
from xmtf.recipe.starting import copy_recipe

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List, copy, show and compare recipes.")


@app.command()
def show(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Omit keys with default values.")] = False,
) -> None:
    """Print every key of a recipe and the origin of its value.

    Includes defaults and overrides.

    Example: xmtf recipe show recipes/demo.yaml training.steps=200 --changed
    """
    loaded = load_recipe(recipe, overrides or [])
    rows = _flatten(loaded.recipe.model_dump(mode="json"))
    if changed:
        rows = {key: value for key, value in rows.items() if loaded.origins[key] != "default"}
    if as_json:
        values = {key: {"value": value, "origin": loaded.origins[key]} for key, value in rows.items()}
        print_json(values, indented=True)
        return
    width = max(map(len, rows), default=0)
    for key, value in rows.items():
        print_text(f"{key:<{width}}  {orjson.dumps(value).decode()}  ({loaded.origins[key]})")


@app.command()
def diff(
    first: RecipePath,
    second: Annotated[Path, typer.Argument(help="The recipe to compare it with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Print the keys in which two recipes differ.

    Example: xmtf recipe diff recipes/demo.yaml recipes/demo-mt5.yaml
    """
    left, right = (_flatten(load_recipe(path).recipe.model_dump(mode="json")) for path in (first, second))
    for key in sorted({*left, *right}):
        if key in left and key in right and left[key] == right[key]:
            continue
        if as_json:
            print_json({"key": key, "first": left.get(key), "second": right.get(key)})
            continue
        values = [orjson.dumps(side[key]).decode() if key in side else "(absent)" for side in (left, right)]
        print_text(f"{key}: {values[0]} -> {values[1]}")


@app.command("list")
def list_recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """List the recipes that come with the package.

    Example: xmtf recipe list
    """
    rows = [(short_name(name), _about(file)) for name, file in packaged_recipes().items()]
    if as_json:
        for (short, about), (name, file) in zip(rows, packaged_recipes().items(), strict=True):
            print_json({"name": short, "description": about, "path": name.as_posix(), "file": str(file)})
        return
    print_columns([("recipe", "about"), *rows])


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="Such as demo, smoke/bloom-tiny or own-data (xmtf recipe list).")],
    to: Annotated[
        Path | None,
        typer.Option(help="Target file, or folder for an example; default: its name, in the current folder."),
    ] = None,
    as_json: PrintJson = False,
) -> None:
    """Copy a packaged recipe, for editing.

    An example is copied with its files. Nothing is overwritten.

    Example: xmtf recipe copy demo --to mine.yaml
    """
    print_files(copy_recipe(name, to), as_json=as_json)


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="Write to this file instead.")] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Print the JSON schema of recipes.

    Describes every key with its meaning, unit and default. Editors use it if the first line of a recipe is
    `# yaml-language-server: $schema=./recipe.schema.json`.

    Example: xmtf recipe schema --out recipe.schema.json
    """
    if out is None:
        print_json(recipe_schema(), indented=True)
        return
    new_file(out, replace=replace)
    write_json(out, recipe_schema())
    print_files([out], as_json=as_json)


def _about(file: Path) -> str:
    """Return a recipe's description, or what its first comment says."""
    about = str(load_yaml(file).get("description", "")).strip()
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    return " ".join((about or first.lstrip("# ")).split())


def _flatten(value: object, prefix: str = "") -> dict[str, object]:
    children: Any = ()
    if isinstance(value, dict) and value:
        children = value.items()
    elif isinstance(value, list) and value:
        children = enumerate(value)
    else:
        return {prefix: value}
    flat: JsonObject = {}
    for key, child in children:
        flat |= _flatten(child, f"{prefix}.{key}" if prefix else str(key))
    return flat
