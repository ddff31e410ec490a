"""Everything that a recipe reads, brought into a mirror."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from xmtf.recipe import LoadedRecipe
from xmtf.sources.fetch import Fetched, fetch_sources, sources_to_fetch
from xmtf.sources.reference import SourceRef
from xmtf.tasks.catalogue import load_catalogue

__all__ = ["Fetched", "fetch_recipe", "recipe_sources"]


def recipe_sources(loaded: LoadedRecipe) -> tuple[SourceRef, ...]:
    """Return every split that the mixture and the evaluation suites of a recipe read, each once.

    Raises:
        ConfigError: A selection takes nothing.
        UnknownNameError: A pattern matches nothing.
    """
    recipe = loaded.recipe
    catalogue = load_catalogue(loaded)
    slices = [
        *catalogue.select(recipe.mixture.tasks, role="train", held_out=recipe.mixture.held_out, where="mixture.tasks")
    ]
    for index, suite in enumerate(recipe.evaluation.suites):
        slices += catalogue.select(suite.tasks, role="evaluation", where=f"evaluation.suites.{index}.tasks")
    return sources_to_fetch(part.task.source(part.split) for part in slices)


def fetch_recipe(
    loaded: LoadedRecipe, to: Path, *, progress: Callable[[Fetched], None] = lambda fetched: None
) -> tuple[Fetched, ...]:
    """Bring every split that a recipe reads into the mirror at ``to``.

    A split that cannot be had is reported with its reason, and the others are still fetched.

    Args:
        loaded: The recipe; its ``offline`` allows only the mirror in use and the hub's cache.
        to: Folder of the mirror.
        progress: Called after every split.

    Raises:
        ConfigError: A selection takes nothing.
    """
    return fetch_sources(recipe_sources(loaded), to, offline=loaded.recipe.offline, progress=progress)
