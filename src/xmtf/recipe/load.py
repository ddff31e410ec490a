"""Read a recipe: YAML 1.2, dotted overrides, and where each value came from."""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from xmtf.errors import ConfigError, nearest
from xmtf.json_types import JsonObject
from xmtf.progress import say
from xmtf.recipe.packaged import nearest_packaged, recipe_file
from xmtf.recipe.renamed import with_new_key, with_new_keys
from xmtf.recipe.schema import Recipe
from xmtf.recipe.yaml_text import MAX_BYTES, parse_yaml, yaml_form
from xmtf.run_folder import RunFolder
from xmtf.text.files import NotUtf8Error, read_text_file

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = [
    "WRITTEN",
    "LoadedRecipe",
    "dump_recipe",
    "dumped",
    "explain_value",
    "load_recipe",
    "load_task_recipe",
    "load_yaml",
    "parse_overrides",
    "resolve_recipe",
]

VARIABLE = "XMTF_OVERRIDES"
"""Environment variable with overrides, such as ``training.steps=200 'name=a b'``."""
WRITTEN = "# Every key of this run, as resolved by xmtf. It can be run again from anywhere."
"""First line of the recipe that a run keeps in its folder."""


@dataclass(frozen=True, slots=True)
class LoadedRecipe:
    """A recipe with its history.

    Attributes:
        recipe: The resolved recipe.
        path: File that it was read from; paths inside are relative to its folder.
        origins: Dotted key -> ``file``, ``override``, ``environment`` or ``default``.
        written: Whether the file is one that a run wrote into its folder.
    """

    recipe: Recipe
    path: Path
    origins: dict[str, str]
    written: bool = False

    @property
    def run_folder(self) -> Path:
        """Folder of the run: ``run_folder`` of the recipe, or ``runs/<name>`` here.

        A recipe that a run wrote is of the run that it lies in, wherever that was moved to.
        """
        if self.written and self.origins.get("run_folder") != "override":
            return self.path.parent
        return Path(self.recipe.run_folder or f"runs/{self.recipe.name}")

    @property
    def run(self) -> RunFolder:
        """Names of what lies in the folder of the run."""
        return RunFolder(self.run_folder)


def load_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file (``no`` is text, ``2e-5`` a number).

    Raises:
        ConfigError: The file is missing or is not YAML; names the file and the line.
    """
    if path.is_dir():
        found = ", ".join(sorted(file.name for file in path.glob("*.yaml"))) or "the folder has none"
        raise ConfigError(f"{path}: is a folder; give a YAML file ({found})")
    try:
        text = read_text_file(path, MAX_BYTES)
    except FileNotFoundError:
        beside = nearest(path.name, [file.name for file in path.parent.glob("*.yaml")])
        near = str(path.parent / beside[0]) if beside else nearest_packaged(path)
        hint = f"did you mean {near}?" if near else f"looked in {path.parent.resolve()}"
        raise ConfigError(f"{path}: no such file; {hint}") from None
    except NotUtf8Error as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_recipe(path: Path, overrides: Iterable[str] = (), *, kept: bool = False) -> LoadedRecipe:
    """Read and check a recipe.

    Args:
        path: YAML file, or the name of a recipe that comes with the package, such as ``demo``.
        overrides: ``training.steps=200``, applied in order.
        kept: It is read as the record of a run that was carried out: the environment of today had no part in it.

    Raises:
        ConfigError: Names the file, the key, what was expected, and for an unknown key the nearest known one.
    """
    path = recipe_file(path)
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys (name, mixture, model, training, ...)")
    return replace(resolve_recipe(data, path, overrides, kept=kept), written=_is_written(path))


_NOT_OF_TASKS: JsonObject = {
    "name": "tasks",
    "mixture": {"tasks": [{"tasks": ["*"]}]},
    "model": {"base": "none"},
    "training": {"steps": 1},
}
"""Sections that a recipe needs, and that say nothing of its own tasks and catalogues."""


def load_task_recipe(path: Path) -> LoadedRecipe:
    """Read a recipe for its tasks alone: catalogues, own tasks, pins. Sections about a run may be missing.

    Raises:
        ConfigError: As :func:`load_recipe`.
    """
    path = recipe_file(path)
    data = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: a recipe is a mapping of keys (own_tasks, catalogues, ...)")
    return resolve_recipe(deepcopy(_NOT_OF_TASKS) | data, path)


def _is_written(path: Path) -> bool:
    with path.open(encoding="utf-8") as stream:
        return stream.readline().strip() == WRITTEN


def resolve_recipe(data: JsonObject, path: Path, overrides: Iterable[str] = (), *, kept: bool = False) -> LoadedRecipe:
    """Check the content of a recipe.

    Args:
        data: What is in the file; overrides are set in it.
        path: Where it was read; paths inside are relative to its folder.
        overrides: ``training.steps=200``, applied in order.
        kept: As :func:`load_recipe`.

    Raises:
        ConfigError: As :func:`load_recipe`.
    """
    data = with_new_keys(data, path)
    given = set(_leaves(data))
    around = {} if kept else _newly_named(environment_overrides())
    named = _newly_named(parse_overrides(overrides))
    for key, value in (around | named).items():
        _set(data, key, value)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from None
    sources = (("override", named), ("environment", around), ("file", given))
    origins = {
        key: next((name for name, keys in sources if _under(key, keys)), "default")
        for key in _leaves(recipe.model_dump(mode="json"))
    }
    return LoadedRecipe(recipe, path, origins)


def environment_overrides() -> dict[str, object]:
    """Return the overrides of :data:`VARIABLE`, which those of the command line override; they are said once.

    Raises:
        ConfigError: One is not ``key=value``.
    """
    text = os.environ.get(VARIABLE, "")
    return _say_overrides(text) if text.strip() else {}


@cache
def _say_overrides(text: str) -> dict[str, object]:
    try:
        found = parse_overrides(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"{VARIABLE}={text}: {error}") from None
    say(f"{VARIABLE}: {', '.join(f'{key}={value}' for key, value in found.items())}")
    return found


def parse_overrides(overrides: Iterable[str]) -> dict[str, object]:
    """Return dotted key -> value of ``key=value`` texts; values are read as YAML.

    >>> parse_overrides(["training.steps=200", "offline=true"])
    {'training.steps': 200, 'offline': True}

    Raises:
        ConfigError: No ``=`` in an override, or its value is not YAML.
    """
    result = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"{override!r}: an override is key=value, such as training.steps=200")
        try:
            result[key.strip()] = parse_yaml(text)
        except ValueError as error:
            said = "the value is not valid YAML" if str(error).startswith("not valid") else str(error)
            raise ConfigError(f"{override[:200]!r}: {said}") from None
    return result


def dump_recipe(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML text, every key included."""
    stream = StringIO()
    yaml_form().dump(dumped(recipe), stream)
    return stream.getvalue()


def dumped(recipe: Recipe) -> JsonObject:
    """Return the resolved recipe as JSON values that can be read again: every key that its section may have."""
    data = recipe.model_dump(mode="json")
    for own, task in zip(recipe.own_tasks, data["own_tasks"], strict=True):
        if "metrics" not in own.model_fields_set:  # those of generation are the default, and refused of other kinds
            del task["metrics"]
    return data


def _newly_named(overrides: Mapping[str, object]) -> dict[str, object]:
    return {with_new_key(key): value for key, value in overrides.items()}


def _set(data: JsonObject, key: str, value: object) -> None:
    *parents, last = key.split(".")
    node: Any = data
    for position, parent in enumerate(parents):
        if isinstance(node, list):
            node = _item(node, parent, key)
            continue
        child = node.get(parent)
        if child is None:
            child = node[parent] = {}
        if not isinstance(child, dict | list):
            raise ConfigError(f"override {key!r}: {'.'.join(parents[: position + 1])} is a plain value in the recipe")
        node = child
    if isinstance(node, list):
        _item(node, last, key)
        node[int(last)] = value
    else:
        node[last] = value


def _item(node: list[Any], index: str, key: str) -> Any:
    if not index.isdigit() or int(index) >= len(node):
        raise ConfigError(f"override {key!r}: {index!r} is not an index of a list of {len(node)}")
    return node[int(index)]


def _leaves(value: object, prefix: str = "") -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from _leaves(child, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and value:
        for index, child in enumerate(value):
            yield from _leaves(child, f"{prefix}.{index}")
    else:
        yield prefix


def _under(key: str, keys: Container[str]) -> bool:
    """Whether the key, or a section that it is in, is among the keys."""
    while key and key not in keys:
        key = key.rpartition(".")[0]
    return bool(key)


def _explain(error: ValidationError) -> str:
    """Return the first problem as one line: key, what is wrong, what is known."""
    problem = error.errors(include_url=False)[0]
    location = problem["loc"]
    key = ".".join(str(part) for part in location)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if problem["type"] == "extra_forbidden":
        known = sorted(_fields_at(location[:-1]))
        near = nearest(str(location[-1]), known)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"unknown key {key!r}; {hint}{more}"
    if problem["type"] == "missing":
        return f"{key!r} is missing{more}"
    keys = f"; known here: {', '.join(sorted(_fields_at(location)))}" if problem["type"] == "model_type" else ""
    return f"{key or 'recipe'}: {explain_value(problem)}{keys}{more}"


_SHAPES = {"model_type": "a mapping of keys", "dict_type": "a mapping", "list_type": "a list", "tuple_type": "a list"}
"""What pydantic calls a wrong kind of YAML value -> what was expected."""


def explain_value(problem: ErrorDetails) -> str:
    """Return what is wrong with a value, in words."""
    if problem["type"] == "literal_error":
        return f"{problem['input']!r} is not one of {problem['ctx']['expected'].replace(' or ', ', ')}"
    if problem["type"] in _SHAPES:
        return f"expected {_SHAPES[problem['type']]}, found {problem['input']!r}"
    return problem["msg"].removeprefix("Value error, ")


def _fields_at(location: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the model that a location of a validation error points into."""
    model: Any = Recipe
    for part in location:
        if isinstance(part, int) or model is None:
            continue
        field = model.model_fields.get(part)
        model = _model_of(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _model_of(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_of(argument)
        if found is not None:
            return found
    return None
