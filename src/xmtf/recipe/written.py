"""The recipe that a run folder keeps: every key, in a form that can be run again from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xmtf.artefacts.ownership import MARKER, RUN, marker_damage, write_marker
from xmtf.errors import ConfigError, DataError
from xmtf.files import file_sha256, read_json, write_text
from xmtf.recipe.load import WRITTEN, LoadedRecipe, dump_recipe, dumped
from xmtf.recipe.schema import Recipe
from xmtf.remote.storage import is_remote
from xmtf.run_folder import RunFolder

__all__ = ["check_written", "portable", "write_recipe"]


def write_recipe(loaded: LoadedRecipe) -> None:
    """Write the resolved recipe into its run folder.

    Raises:
        ConfigError: That would overwrite the file that the recipe was read from, which is not one of ours.
    """
    path = loaded.run.recipe
    if path.exists() and not loaded.written and path.samefile(loaded.path):
        raise ConfigError(
            f"{path}: is the recipe being read, and the run writes its own copy there; set another run_folder"
        )
    write_text(path, f"{WRITTEN}\n{dump_recipe(portable(loaded))}")
    write_marker(loaded.run_folder, RUN, recipe=file_sha256(path))


def check_written(run: RunFolder) -> None:
    """Refuse the recipe of a run that is not as the run wrote it; earlier versions did not say how they did.

    Raises:
        DataError: It was changed since, or is gone.
    """
    marker = run.path / MARKER
    value = read_json(marker) if marker.is_file() and not marker_damage(marker) else {}
    written = value.get("recipe")
    if written is not None and (not run.is_run or file_sha256(run.recipe) != written):
        raise DataError(f"{run.recipe}: was changed or cut short ({marker.name}); run the recipe again (xmtf run)")


def portable(loaded: LoadedRecipe) -> Recipe:
    """Return the recipe with absolute paths: what was next to its file, or in the current folder, is found anywhere."""
    folder = loaded.path.parent.resolve()
    data = dumped(loaded.recipe)
    data["run_folder"] = str(loaded.run_folder.resolve())
    data["catalogues"] = [str(folder / name) for name in data["catalogues"]]
    if data.get("pins"):
        data["pins"] = str(folder / data["pins"])
    for task in data["own_tasks"]:
        task |= {key: _beside(folder, task[key]) for key in ("path", "templates", "files") if task.get(key) is not None}
    for part in (*data["mixture"]["prompted"], *data["training"]["validation_texts"]):
        part["path"] = part["path"] if is_remote(part["path"]) else str(folder / part["path"])
    if data["tokens"].get("chat_template") is not None:
        data["tokens"]["chat_template"] = str(folder / data["tokens"]["chat_template"])
    tokenizer: dict[str, Any] = data["tokens"]["tokenizer"]
    tokenizer["path"] = _found(tokenizer["path"], folder, Path())
    data["model"]["base"] = _found(data["model"]["base"], Path())
    return Recipe.model_validate(data)


def _beside(folder: Path, named: str | list[str] | dict[str, Any]) -> str | list[str] | dict[str, Any]:
    """Return the absolute path of a file, or those of several, by split or not."""
    if isinstance(named, str):
        return str(folder / named)
    if isinstance(named, dict):
        return {split: _beside(folder, each) for split, each in named.items()}
    return [str(folder / each) for each in named]


def _found(reference: str | None, *folders: Path) -> str | None:
    """Return the absolute path of a reference that is a file or folder in the first of some folders that has it."""
    if reference is None:
        return None
    places = (folder / Path(reference).expanduser() for folder in folders)
    return next((str(place.resolve()) for place in places if place.exists()), reference)
