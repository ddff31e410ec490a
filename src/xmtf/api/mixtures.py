"""Mixtures from Python."""

from __future__ import annotations

from pathlib import Path

from xmtf.api.recipes import Overrides, RecipeLike, opened
from xmtf.mixture import build_mixture as build
from xmtf.mixture.io.opened import Mixture
from xmtf.mixture.io.read import find_mixture

__all__ = ["build_mixture", "load_mixture"]


def build_mixture(
    recipe: RecipeLike, overrides: Overrides = (), *, out: Path | str | None = None, replace: bool = False
) -> Mixture:
    """Build the mixture of a recipe; finished, it is only opened.

    Args:
        recipe: The recipe, its file or its name.
        overrides: Keys that have another value.
        out: Folder of the mixture; default that of the recipe's run, ``runs/<name>/mixture``.
        replace: Whether a finished mixture of another recipe that is there is replaced.

    Raises:
        UserError: The recipe or its data are wrong, or a finished mixture would be replaced.
    """
    loaded = opened(recipe, overrides)
    folder = loaded.run.mixture if out is None else Path(out)
    build(loaded, folder, replace=replace)
    return Mixture(folder)


def load_mixture(path: Path | str) -> Mixture:
    """Open a finished mixture.

    Args:
        path: Its folder, or the folder of the run that it is of.

    Raises:
        SourceError: It holds no finished mixture.
    """
    return Mixture(find_mixture(Path(path)))
