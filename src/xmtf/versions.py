"""Versions of what made a result, as manifests and results name them."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from xmtf import __version__

__all__ = ["package_versions", "source_commit"]


@cache
def source_commit() -> str:
    """Return the commit of the checkout that this program runs from, ``+`` where files differ; else ``""``."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        answers = [
            subprocess.run(["git", *verb], cwd=root, capture_output=True, text=True, check=True, timeout=30).stdout
            for verb in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "src"])
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    commit, changed = answers
    return commit.strip() + ("+" if changed.strip() else "")


def package_versions(names: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of xmtf, Python and those of the named packages that are installed."""
    found = {"xmtf": __version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
