"""A recipe to begin with: one of the package's copied, or a folder with a recipe, templates and rows of your own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.files import atomic_path, write_json, write_text
from xmtf.recipe.json_schema import recipe_schema
from xmtf.recipe.packaged import named_recipes, packaged_recipes, short_name

__all__ = ["STARTED_RECIPE", "copy_recipe", "start_folder"]

SCHEMA = "recipe.schema.json"
_EDITORS = f"# yaml-language-server: $schema=./{SCHEMA}\n"
"""What editors with the YAML language server read: names and meanings of keys as one types."""
_DATA = "data.jsonl"
STARTED_RECIPE = "recipe.yaml"
"""Name of the recipe in a folder as a user starts it."""


def copy_recipe(name: str, to: Path | None = None) -> list[Path]:
    """Copy a recipe that comes with the package; an example's whole folder.

    Args:
        name: Such as ``demo``, ``smoke/bloom-tiny`` or ``own-data``.
        to: File of the copy, or of an example its folder; default a file or folder of that name here.

    Returns:
        The files that were written.

    Raises:
        UnknownNameError: There is no such recipe.
        ConfigError: Something of that name is there.
    """
    found = named_recipes(Path(name))
    if len(found) != 1:
        raise UnknownNameError("recipe", name, map(short_name, packaged_recipes()))
    ((path, file),) = found.items()
    is_example = path.parts[0] == "examples"
    target = to or Path(path.parent.name if is_example else path.name)
    if target.exists() or target.is_symlink():
        raise ConfigError(f"{target}: already exists; give another path with --to")
    if is_example:
        return _copied(sorted(each for each in file.parent.iterdir() if each.is_file()), target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        shutil.copyfile(file, temporary)
    return [target]


def start_folder(folder: Path) -> list[Path]:
    """Write a recipe, its templates and a few rows into a new or empty folder, for people to change.

    Returns:
        The files that were written.

    Raises:
        ConfigError: The folder is not empty, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        what = "is not empty" if folder.is_dir() else "is a file"
        raise ConfigError(f"{folder}: {what}; give a new folder")
    ((_, file),) = named_recipes(Path("own-data")).items()
    recipe = file.read_text(encoding="utf-8").partition("name: own-data\n")[2].replace("words.jsonl", _DATA)
    about = (
        "# One file of rows and one of templates make a task; `xmtf run recipe.yaml` trains on it, in runs/ here.\n"
        "# `xmtf template render words --recipe recipe.yaml` shows a row under each template.\n"
    )
    templates = (file.parent / "templates.yaml").read_text(encoding="utf-8")
    texts = {STARTED_RECIPE: f"{_EDITORS}{about}name: {_name(folder)}\n{recipe}", "templates.yaml": templates}
    with _empty_again_on_failure(folder):
        for name, text in (texts | {".gitignore": "runs/\n"}).items():
            write_text(folder / name, text)
        shutil.copyfile(file.parent / "words.jsonl", folder / _DATA)
        write_json(folder / SCHEMA, recipe_schema())
    return [folder / name for name in (STARTED_RECIPE, "templates.yaml", _DATA, ".gitignore", SCHEMA)]


def _name(folder: Path) -> str:
    """Return the name of a run for a folder: its own, as far as it is a name of files."""
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in folder.resolve().name)
    return name.strip("-") or "own"


@contextlib.contextmanager
def _empty_again_on_failure(folder: Path) -> Iterator[None]:
    """Fill an empty folder, maybe the one that is worked in, or leave it as it was: the same command begins again."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undone:
        if is_new:
            undone.callback(folder.rmdir)
        undone.callback(_empty, folder)
        yield
        undone.pop_all()


def _empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def _copied(files: list[Path], folder: Path) -> list[Path]:
    with _empty_again_on_failure(folder):
        for file in files:
            shutil.copyfile(file, folder / file.name)
    return [folder / file.name for file in files]
