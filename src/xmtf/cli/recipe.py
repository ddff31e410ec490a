"""``xmtf recipe``: what a recipe says once every default and override is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from xmtf.cli.terminal.options import Overrides, RecipePath
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.json_types import JsonObject
from xmtf.recipe import Recipe, load_recipe

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Show, compare and explain recipes.")


@app.command()
def show(
    recipe: RecipePath,
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Leave out keys that have their default.")] = False,
) -> None:
    """Print every key of a recipe and where its value is from.

    Defaults and overrides are in it.

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
) -> None:
    """Print the keys in which two recipes differ.

    Example: xmtf recipe diff recipes/demo.yaml recipes/demo-mt5.yaml
    """
    left, right = (_flatten(load_recipe(path).recipe.model_dump(mode="json")) for path in (first, second))
    for key in sorted({*left, *right}):
        values = [orjson.dumps(side[key]).decode() if key in side else "(absent)" for side in (left, right)]
        if values[0] != values[1]:
            print_text(f"{key}: {values[0]} -> {values[1]}")


@app.command()
def schema() -> None:
    """Print the JSON schema of recipes.

    Every key with its meaning, unit and default.

    Example: xmtf recipe schema > recipe.schema.json
    """
    print_json(Recipe.model_json_schema(), indented=True)


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
