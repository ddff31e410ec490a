"""Collections of templates: our own, a promptsource checkout or installed package, any folder.

A collection is a folder tree: the templates of a dataset are in ``<dataset>/templates.yaml``, those of one
of its subsets in ``<dataset>/<subset>/templates.yaml``. The path is the key; headers inside are comments.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmtf.errors import TemplateError, UnknownNameError
from xmtf.templates.files.promptsource import read_template_file
from xmtf.templates.template import Template

__all__ = ["BUILTIN", "TEMPLATE_FILES", "Collection", "load_templates", "open_collection"]

BUILTIN = Path(__file__).parents[1] / "collections"
"""Our own templates."""

TEMPLATE_FILES = ("templates.yaml", "template.yaml")
"""What a file of templates is called in a collection."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A folder of template files.

    Attributes:
        root: The folder that keys are relative to.
    """

    root: Path

    def path(self, key: str) -> Path | None:
        """Return the file of a key, or None where there is none."""
        if not key or any(part in ("", ".", "..") for part in key.split("/")):
            return None
        paths = (self.root / key / name for name in TEMPLATE_FILES)
        return next((path for path in paths if path.is_file()), None)

    def keys(self) -> tuple[str, ...]:
        """Return the keys of all files, sorted; folders that begin with a dot are left out."""
        found = {path.parent.relative_to(self.root) for name in TEMPLATE_FILES for path in self.root.rglob(name)}
        return tuple(sorted(key.as_posix() for key in found if not any(part.startswith(".") for part in key.parts)))

    def load(self, key: str, subset: str = "") -> tuple[Template, ...]:
        """Return the templates of a key and subset, or of the key alone where the subset has none of its own.

        Raises:
            UnknownNameError: There are none; names where it looked.
            TemplateError: The file cannot be read.
        """
        tried = [f"{key}/{subset}", key] if subset else [key]
        for candidate in tried:
            path = self.path(candidate)
            if path is not None:
                found = path.stat()
                return _read(path, (found.st_mtime_ns, found.st_size))
        where = f"searched for {' and '.join(f'{name}/templates.yaml' for name in tried)} in {self.root}"
        raise UnknownNameError("template collection", tried[0], self.keys(), where)


@cache
def _read(path: Path, stamp: tuple[int, int]) -> tuple[Template, ...]:
    """Read a file once a process, and again when it changes: many subsets share one file."""
    return read_template_file(path, last_counts=True)


def open_collection(place: str | Path | None = None) -> Collection:
    """Return a collection.

    Args:
        place: A folder of template files; a promptsource checkout; ``promptsource`` for the installed
            package (which is not imported); None for our own.

    Raises:
        TemplateError: There is no such folder.
    """
    if place is None:
        return Collection(BUILTIN)
    if str(place) == "promptsource" and not Path("promptsource").is_dir():
        found = importlib.util.find_spec("promptsource")
        if found is None or not found.submodule_search_locations:
            raise TemplateError("the package promptsource is not installed; give the folder of its templates instead")
        return Collection(Path(found.submodule_search_locations[0]) / "templates")
    root = Path(place)
    if not root.is_dir():
        raise TemplateError(f"{root}: no such template folder")
    inside = (root / "promptsource" / "templates", root / "templates")
    return Collection(next((folder for folder in inside if folder.is_dir()), root))


def load_templates(key: str, subset: str = "", *, root: Path | None = None) -> tuple[Template, ...]:
    """Return the templates of ``<key>/<subset>``, else of ``<key>``, from our own collections or from ``root``.

    Raises:
        UnknownNameError: There are none; names where it looked and the nearest keys.
        TemplateError: The file cannot be read.
    """
    return open_collection(root).load(key, subset)
