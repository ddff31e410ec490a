"""Token files of a few rows of a recipe, for a look at a packed row before anything is built."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xmtf.guards.unfinished import scratch_folder
from xmtf.mixture import build_mixture
from xmtf.models.files.references import plain_reference
from xmtf.models.interface import Family
from xmtf.recipe import LoadedRecipe, Recipe, TaskSelection
from xmtf.recipe.mixture import HeldOut
from xmtf.recipe.schema import Evaluation, Execution, Rates
from xmtf.sources.locate import is_here
from xmtf.tasks import load_catalogue
from xmtf.tokens import tokenize_mixture

__all__ = ["sampled_tokens"]

_TASKS = 4
_ROWS = 20


@contextlib.contextmanager
def sampled_tokens(loaded: LoadedRecipe, family: Family) -> Iterator[Path | None]:
    """Give a folder of token files of the first tasks whose data are on this machine; it is removed afterwards.

    Args:
        loaded: The recipe.
        family: Of its model.

    Yields:
        The folder, or None where no data are here.

    Raises:
        UserError: The recipe, its rows or its tokenizer are wrong.
    """
    recipe = _small(loaded)
    if recipe is None:
        yield None
        return
    with scratch_folder("xmtf-dry-run-") as folder:
        mixture, tokens = folder / "a-mixture", folder / "its-tokens"
        # only data that are here are read; a tokenizer may come from the hub, as it would later
        build_mixture(replace(loaded, recipe=recipe.model_copy(update={"offline": True})), mixture)
        base = plain_reference(recipe.model.base) if recipe.model.base else None
        tokenize_mixture(replace(loaded, recipe=recipe), mixture, tokens, family=family, base=base)
        yield tokens


def _small(loaded: LoadedRecipe) -> Recipe | None:
    """Return the recipe with a few rows of its first tasks, or None where none of their data are here."""
    recipe = loaded.recipe
    selections: list[TaskSelection] = []
    left = _TASKS
    for selection in recipe.mixture.tasks:
        names = _here(loaded, selection, left)
        if names:
            rows = min(_ROWS, selection.limit_rows or _ROWS)
            hidden = (*selection.exclude_templates, *recipe.mixture.held_out.templates)
            update = {"tasks": names, "limit_rows": rows, "exclude_templates": hidden}
            selections.append(selection.model_copy(update=update))
        left -= len(names)
    if not selections:
        return None
    few = {
        "tasks": tuple(selections),
        "prompted": (),
        "rates": Rates(),
        "validation_fraction": 0.0,
        "missing": "skip",
        "held_out": _without_templates(recipe),
    }
    mixture = recipe.mixture.model_copy(update=few)
    changed = {"mixture": mixture, "evaluation": Evaluation(), "execution": Execution(engine="inline")}
    return recipe.model_copy(update=changed)


def _without_templates(recipe: Recipe) -> HeldOut:
    """Return what is held out but for templates: one that only the tasks left out have would be refused as unknown."""
    return recipe.mixture.held_out.model_copy(update={"templates": ()})


def _here(loaded: LoadedRecipe, selection: TaskSelection, most: int) -> tuple[str, ...]:
    """Return the first tasks of a selection whose rows are on this machine."""
    recipe = loaded.recipe
    where = f"{loaded.path}: mixture.tasks"
    slices = load_catalogue(loaded).select(
        [selection], role="train", held_out=_without_templates(recipe), where=where
    )
    found: dict[str, None] = {}
    for part in slices:
        if len(found) == most:
            break
        if is_here(part.task.source(part.split)):
            found[part.task.id] = None
    return tuple(found)
