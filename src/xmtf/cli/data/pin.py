"""``xmtf data pin``: the commits of the datasets that a recipe reads, as a file that holds it to them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import typer

from xmtf.artefacts.ownership import new_file
from xmtf.cli.terminal.options import Overwrite, RecipePath
from xmtf.cli.terminal.printing import print_json, print_records, print_text
from xmtf.errors import ConfigError
from xmtf.files import write_text
from xmtf.recipe import load_recipe
from xmtf.recipe.yaml_text import yaml_form
from xmtf.tasks import recipe_sources
from xmtf.tasks.pins import find_pins

__all__ = ["pin"]


def pin(
    recipe: RecipePath,
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides, such as offline=true.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default: <recipe>.pins.yaml.")] = None,
    replace: Overwrite = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write down the commits of the datasets that a recipe reads.

    Looks where they are read from now: the mirror, the cache of the hub, or the hub. With `pins: FILE` in the recipe,
    later fetches, builds and evaluations read these commits and no others.

    Example: xmtf data pin recipes/open.yaml --out open.pins.yaml
    """
    loaded = load_recipe(recipe, overrides or ())
    path = out or recipe.with_suffix(".pins.yaml")
    new_file(path, replace=replace)
    pins, not_pinned = find_pins(recipe_sources(loaded), offline=loaded.recipe.offline)
    if not pins:
        why = next(iter(not_pinned.items()), None)
        raise ConfigError(f"{recipe}: no dataset can be pinned{f': {why[0]}: {why[1]}' if why else ''}")
    text, form = io.StringIO(), yaml_form()
    form.version = None  # no line that says it
    form.dump(pins, text)
    write_text(path, text.getvalue())
    if as_json:
        print_json({"file": str(path), "pins": pins, "not_pinned": not_pinned})
        return
    rows = [(dataset, *each) for dataset, revisions in pins.items() for each in revisions.items()]
    print_records([dict(zip(("dataset", "revision", "commit"), row, strict=True)) for row in rows])
    for name, why_not in not_pinned.items():
        print_text(f"not pinned: {name}: {why_not}")
    print_text(f"{path}: add `pins: {path.name}` to the recipe")
