"""Recipes from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson

from xmtf.errors import ConfigError
from xmtf.recipe import LoadedRecipe
from xmtf.recipe import load_recipe as load

__all__ = ["Overrides", "RecipeLike", "load_recipe", "opened"]

Overrides = Mapping[str, object] | Iterable[str]
"""Keys with their values, ``{"training.steps": 200}``, or the texts of the command line, ``["training.steps=200"]``."""
RecipeLike = LoadedRecipe | Path | str
"""A recipe that is loaded, its file, or the name of one that comes with the package."""


def load_recipe(path: Path | str, overrides: Overrides = ()) -> LoadedRecipe:
    """Read and check a recipe; nothing is run.

    >>> loaded = load_recipe("smoke/bloom-tiny", {"training.steps": 20})
    >>> loaded.recipe.training.steps, loaded.origins["training.steps"]
    (20, 'override')

    Args:
        path: YAML file, or the name of a recipe that comes with the package, such as ``demo``.
        overrides: Keys that have another value, by their dotted name.

    Raises:
        ConfigError: Names the file, the key, what was expected, and for an unknown key the nearest known one.
    """
    return load(Path(path), _texts(overrides))


def opened(recipe: RecipeLike, overrides: Overrides) -> LoadedRecipe:
    """Return a recipe that may be loaded already.

    Raises:
        ConfigError: As :func:`load_recipe`, or a loaded recipe is given overrides.
    """
    if not isinstance(recipe, LoadedRecipe):
        return load_recipe(recipe, overrides)
    if _texts(overrides):
        raise ConfigError(f"{recipe.path}: the recipe is already loaded; pass the overrides to load_recipe")
    return recipe


def _texts(overrides: Overrides) -> list[str]:
    if isinstance(overrides, Mapping):
        return [f"{key}={_text(key, value)}" for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: give a mapping of keys or a list of key=value texts, not the text {overrides!r}")
    return list(overrides)


def _text(key: str, value: object) -> str:
    """Return a value as YAML that is read back as the same; JSON is YAML."""
    try:
        return orjson.dumps(value, default=_plain).decode()
    except orjson.JSONEncodeError as error:
        raise ConfigError(f"override {key!r}: {value!r} is not a valid value of a recipe ({error})") from None


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"type {type(value).__name__}")
