"""The recipes and examples that come with the package, found by name from any folder.

They are in ``recipes/`` and ``examples/`` at the root of the project, where people read them; a wheel carries copies in
``packaged/``.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from xmtf.progress import say

__all__ = ["named_recipes", "nearest_packaged", "packaged_recipes", "recipe_file", "short_name"]

_PACKAGE = Path(__file__).parents[1]
_WHEEL, _CHECKOUT = _PACKAGE / "packaged", _PACKAGE.parents[1]


def packaged_recipes() -> dict[Path, Path]:
    """Return name, such as ``recipes/smoke/bloom-tiny.yaml`` -> file, of every recipe that comes with the package."""
    root = _WHEEL if _WHEEL.is_dir() else _CHECKOUT
    files = sorted([*root.glob("recipes/**/*.yaml"), *root.glob("examples/*/recipe.yaml")])
    return {file.relative_to(root): file for file in files}


def recipe_file(path: Path) -> Path:
    """Return the file that a path names: itself, or the packaged recipe of that name, which is then said.

    A packaged recipe is named by the end of its path, with or without ``.yaml``: ``recipes/demo.yaml``,
    ``smoke/bloom-tiny``, ``demo``; an example by its folder, ``own-data``. A name that several have is not a name.
    """
    if path.exists():
        return path
    found = list(named_recipes(path).values())
    if len(found) != 1:
        return path
    say(f"{path}: no such file; using the one packaged with xmtf: {found[0]}")
    return found[0]


def named_recipes(path: Path) -> dict[Path, Path]:
    """Return name -> file of the packaged recipes that a path names; mostly one, or none."""
    return {name: file for name, file in packaged_recipes().items() if path in _names(name)}


def short_name(name: Path) -> str:
    """Return what a packaged recipe is called on the command line.

    >>> short_name(Path("recipes/smoke/bloom-tiny.yaml")), short_name(Path("examples/own-data/recipe.yaml"))
    ('smoke/bloom-tiny', 'own-data')
    """
    return name.parent.name if name.stem == "recipe" else name.relative_to("recipes").with_suffix("").as_posix()


def nearest_packaged(path: Path) -> str | None:
    """Return the path of the packaged recipe whose name is nearly that of ``path``, or None where none is."""
    by_stem = {name.stem: name for name in packaged_recipes()}
    near = get_close_matches(path.stem, by_stem, n=1, cutoff=0.8)
    return str(by_stem[near[0]]) if near else None


def _names(path: Path) -> set[Path]:
    """Return what a packaged recipe answers to.

    >>> sorted(map(str, _names(Path("recipes/demo.yaml"))))
    ['demo', 'demo.yaml', 'recipes/demo', 'recipes/demo.yaml']
    """
    by_folder = path.stem == "recipe"
    whole = [path, path.parent if by_folder else path.with_suffix("")]
    names = {Path(*name.parts[start:]) for name in whole for start in range(len(name.parts))}
    return names - {Path(path.name)} if by_folder else names
