"""Versions of what made a result, as manifests and results name them."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

from xmtf import __version__

__all__ = ["package_versions"]


def package_versions(names: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of xmtf, Python and those of the named packages that are installed."""
    found = {"xmtf": __version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
