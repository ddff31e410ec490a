"""Recipes: one YAML file describes a whole run."""

from xmtf.recipe.load import LoadedRecipe, dump_recipe, load_recipe, load_task_recipe, load_yaml, parse_overrides
from xmtf.recipe.schema import Recipe, Section, TaskSelection

__all__ = [
    "LoadedRecipe",
    "Recipe",
    "Section",
    "TaskSelection",
    "dump_recipe",
    "load_recipe",
    "load_task_recipe",
    "load_yaml",
    "parse_overrides",
]
