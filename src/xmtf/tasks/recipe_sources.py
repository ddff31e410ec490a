"""Which splits of which datasets a recipe reads."""

from __future__ import annotations

from xmtf.recipe import LoadedRecipe, TaskSelection
from xmtf.recipe.schema import HeldOut
from xmtf.sources.fetch import sources_to_fetch
from xmtf.sources.reference import SourceRef
from xmtf.tasks.catalogue import Catalogue, load_catalogue
from xmtf.tasks.checkouts import lacking_checkouts
from xmtf.tasks.outline import OutlinedSplit
from xmtf.tasks.shot_source import shot_source
from xmtf.tasks.task import Role, Slice

__all__ = ["gated_datasets", "lacking_suites", "recipe_licences", "recipe_sources"]


def recipe_sources(loaded: LoadedRecipe) -> tuple[SourceRef, ...]:
    """Return every split that the mixture and the evaluation suites of a recipe read, each once.

    The templates of the xP3 family need not be available; where they are not, filters on templates are not applied.

    Raises:
        ConfigError: A selection takes nothing.
        UnknownNameError: A pattern matches nothing.
    """
    recipe = loaded.recipe
    catalogue = load_catalogue(loaded)
    mixture = recipe.mixture
    parts = [*_parts(catalogue, mixture.tasks, "train", mixture.held_out, f"{loaded.path}: mixture.tasks")]
    shown: list[SourceRef] = []
    for index, suite in enumerate(recipe.evaluation.suites):
        asked = _parts(catalogue, suite.tasks, "evaluation", None, f"{loaded.path}: evaluation.suites.{index}.tasks")
        taken = [part for part in asked if suite.kind in (None, part.task.kind)]
        parts += taken
        if suite.shots is not None:
            where = f"{loaded.path}: evaluation.suites.{index}.shots"
            for part in taken:
                task, split = shot_source(suite.shots, part.task, part.split, catalogue.tasks, where)
                shown.append(task.source(split))
    return sources_to_fetch([*(part.task.source(part.split) for part in parts), *shown])


def recipe_licences(loaded: LoadedRecipe) -> dict[str, str]:
    """Return dataset -> licence of what a recipe can name, where the catalogue says it."""
    return {task.dataset: task.licence for task in load_catalogue(loaded).tasks.values() if task.licence}


def gated_datasets(loaded: LoadedRecipe | None = None) -> frozenset[str]:
    """Return the datasets that the hub gives out on request alone, where the catalogue says so."""
    return frozenset(task.dataset for task in load_catalogue(loaded).tasks.values() if task.gated)


def lacking_suites(loaded: LoadedRecipe) -> dict[str, str]:
    """Return which evaluation suites of a recipe cannot be asked here for lack of prompts: name -> why.

    Raises:
        UnknownNameError: A pattern matches nothing.
    """
    found: dict[str, str] = {}
    catalogue = load_catalogue(loaded)
    for index, suite in enumerate(loaded.recipe.evaluation.suites):
        where = f"{loaded.path}: evaluation.suites.{index}.tasks"
        asked = catalogue.outline(suite.tasks, role="evaluation", where=where)
        lacking = lacking_checkouts(part.task.promptsource for part in asked)
        if lacking:
            found[suite.name] = "; ".join(f"prompts of branch {branch}: {why}" for branch, why in lacking.items())
    return found


def _parts(
    catalogue: Catalogue, selections: tuple[TaskSelection, ...], role: Role, held_out: HeldOut | None, where: str
) -> tuple[Slice, ...] | tuple[OutlinedSplit, ...]:
    if not selections:
        return ()
    outlined = catalogue.outline(selections, role=role, held_out=held_out, where=where)
    if lacking_checkouts(part.task.promptsource for part in outlined):
        return outlined
    return catalogue.select(selections, role=role, held_out=held_out, where=where)
