"""Token files of a few rows of a recipe, for a look at a packed row before anything is built."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xmtf.guards.unfinished import scratch_folder
from xmtf.mixture import build_mixture
from xmtf.models.files.references import plain_reference
from xmtf.models.interface import Family
from xmtf.recipe import LoadedRecipe, Recipe, TaskSelection
from xmtf.recipe.schema import Evaluation, Execution, Rates
from xmtf.sources.locate import is_here
from xmtf.tasks import Slice, load_catalogue
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
        here = _here(loaded, selection, left)
        if here:
            # exact names: a pattern that only the tasks left out have would be refused as unknown
            prompts = dict.fromkeys(template.name for part in here.values() for template in part.templates)
            update = {
                "tasks": tuple(map(glob.escape, here)),
                "templates": tuple(map(glob.escape, prompts)),
                "exclude_templates": (),
                "limit_rows": min(_ROWS, selection.limit_rows or _ROWS),
            }
            selections.append(selection.model_copy(update=update))
        left -= len(here)
    if not selections:
        return None
    few = {
        "tasks": tuple(selections),
        "prompted": (),
        "rates": Rates(),
        "validation_fraction": 0.0,
        "missing": "skip",
        "held_out": recipe.mixture.held_out.model_copy(update={"templates": ()}),
    }
    mixture = recipe.mixture.model_copy(update=few)
    changed = {"mixture": mixture, "evaluation": Evaluation(), "execution": Execution(engine="inline")}
    return recipe.model_copy(update=changed)


def _here(loaded: LoadedRecipe, selection: TaskSelection, most: int) -> dict[str, Slice]:
    """Return the first tasks of a selection whose rows are on this machine, with a split of each."""
    recipe = loaded.recipe
    where = f"{loaded.path}: mixture.tasks"
    catalogue, held_out = load_catalogue(loaded), recipe.mixture.held_out
    mine = {part.task.id for part in catalogue.select([selection], role="train", where=where)}
    slices = catalogue.select(recipe.mixture.tasks, role="train", held_out=held_out, where=where)
    found: dict[str, Slice] = {}
    for part in slices:
        if len(found) == most and part.task.id not in found:
            break
        if part.task.id in mine and is_here(part.task.source(part.split)):
            found.setdefault(part.task.id, part)
    return found
