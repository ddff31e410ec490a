"""Where the templates of a task, a key or a file stand, and where translations of them are written."""

from __future__ import annotations

from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.tasks import load_catalogue
from xmtf.templates import open_collection

__all__ = ["check_out", "template_file"]


def template_file(place: str, out: Path | None = None) -> tuple[Path, Path]:
    """Return the file of some templates, and the file that changes of them go to.

    Args:
        place: Task id, key of our collections, or a path.
        out: Folder of a collection, in which the file has its key as path; None: the file itself.

    Raises:
        UnknownNameError: There is no such task or key.
        ConfigError: The templates are ours, and no folder is named.
    """
    if place.endswith((".yaml", ".yml")):
        file = Path(place)
        if not file.is_file():
            raise ConfigError(f"{file}: no such file (looked in {file.parent.resolve()})")
        return file, file if out is None else out / file.name
    collection = open_collection()
    task = load_catalogue(None).tasks.get(place)
    if task is not None and task.promptsource:
        raise ConfigError(f"{place}: its templates are promptsource's; give the file in its checkout")
    keys = [f"{task.template_key}/{task.subset}", task.template_key] if task is not None else [place]
    key = next((key for key in keys if collection.path(key) is not None), None)
    path = collection.path(key) if key is not None else None
    if path is None or key is None:
        raise UnknownNameError("task or key of templates", place, collection.keys())
    if out is None:
        raise ConfigError(f"{place}: its templates come with the package; give a folder for the copy with --out DIR")
    return path, out / key / path.name


def check_out(path: Path | None, option: str, replace: bool) -> None:
    """Refuse a file of the user's as the place of an output.

    Raises:
        ConfigError: It is a folder, or is there and may not be replaced.
    """
    if path is None:
        return
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a folder")
    if (path.exists() or path.is_symlink()) and not replace:
        raise ConfigError(f"{option} {path}: already exists; --replace overwrites it")
