"""Checkouts of promptsource: which folder holds the prompts of which branch.

``XMTF_TEMPLATES_ROOT`` is one of

- a folder with one branch: a checkout, an unpacked archive of one, or the folder of templates inside;
- a folder that holds a folder for each branch, named like it (``tr13``, ``xp3mt``, ``xp3x``, ``main``);
- ``tr13=/some/folder,xp3mt=/another``.

The same dataset has other prompts on other branches, so a folder serves the tasks of its own branch only. The branch
is what the files show (some exist on one branch alone), else what git's HEAD says; where neither does, the name has
to be written down in the third form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.execution import say
from xmtf.templates import Collection, open_collection

__all__ = [
    "BRANCHES",
    "TEMPLATES_ROOT",
    "Checkout",
    "absolute_roots",
    "branch_of",
    "checkout_of",
    "lacking_checkouts",
]

TEMPLATES_ROOT = "XMTF_TEMPLATES_ROOT"
"""Environment variable with the checkouts of promptsource, for the tasks of the xP3 family."""

BRANCHES = ("main", "tr13", "xp3mt", "xp3x")
"""Branches that tasks of the family are prompted from: ``main`` of promptsource itself, the others of its fork."""

_SHOWS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "xp3x": (("facebook/flores/x_x",), ()),
    "xp3mt": (("GEM/xlsum/yoruba", "facebook/flores/eng_Latn-fra_Latn"), ("Helsinki-NLP/tatoeba_mt/ara-rus",)),
    "tr13": (("facebook/flores/eng_Latn-fra_Latn", "xnli/fr"), ("GEM/xlsum/chinese_simplified",)),
    "main": (("anli", "super_glue/copa"), ("xcopa/id",)),
}
"""Branch -> keys that it has, keys that it lacks; no two branches agree with one line."""

_LISTED = re.compile(r",(?=\s*[\w.-]+=)")
_NAMED = re.compile(r"\s*([\w.-]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A folder of promptsource's templates.

    Attributes:
        root: The folder.
        branch: The branch that it holds, or ``""`` where nothing shows it.
        commit: The commit that git has checked out there, or ``""``.
    """

    root: Path
    branch: str
    commit: str = ""

    def __str__(self) -> str:
        """Return the folder, its branch and its commit, for people."""
        commit = f", commit {self.commit[:10]}" if self.commit else ""
        return f"{self.root} ({f'branch {self.branch}' if self.branch else 'branch unknown'}{commit})"


def checkout_of(branch: str, task: str) -> Path:
    """Return the folder with the prompts of a branch, and say once which one it is.

    Args:
        branch: The branch.
        task: The task that asks for it, for errors.

    Raises:
        ConfigError: No folder is set for the branch, a folder is missing, or is of another branch.
    """
    found = _find(branch)
    if isinstance(found, str):
        raise ConfigError(f"task {task!r}: its templates are promptsource's, branch {branch}; {found}")
    _name_once(branch, str(found))
    return found.root


def lacking_checkouts(branches: Iterable[str]) -> dict[str, str]:
    """Return which of the branches have no folder: branch -> why, and what to do.

    Raises:
        ConfigError: A folder that the variable names is missing.
    """
    found = {branch: _find(branch) for branch in sorted({each for each in branches if each})}
    return {branch: why for branch, why in found.items() if isinstance(why, str)}


def absolute_roots(value: str) -> str:
    """Return a value of the variable with its folders as absolute paths, for processes that start elsewhere.

    Raises:
        ConfigError: A folder has no branch of promptsource.
    """
    if not _NAMED.fullmatch(value):
        return str(Path(value).expanduser().resolve())
    parts = map(_named, _LISTED.split(value))
    return ",".join(f"{branch}={Path(folder).expanduser().resolve()}" for branch, folder in parts)


def branch_of(root: Path) -> Checkout:
    """Return what a folder of templates shows of its branch: by its files, else by git's HEAD.

    Raises:
        TemplateError: There is no such folder.
    """
    collection = open_collection(root)
    head, commit = _head(root)
    shown = next((branch for branch, (has, lacks) in _SHOWS.items() if _agrees(collection, has, lacks)), "")
    return Checkout(root, shown or head, commit)


def _agrees(collection: Collection, has: Iterable[str], lacks: Iterable[str]) -> bool:
    return all(collection.path(key) for key in has) and not any(collection.path(key) for key in lacks)


def _find(branch: str) -> Checkout | str:
    """Return the checkout of a branch, or why there is none and what to do."""
    value = os.environ.get(TEMPLATES_ROOT, "").strip()
    if not value:
        return f"they are not part of xmtf: set {TEMPLATES_ROOT} to a checkout (docs/xp3.md)"
    places = _places(value)
    if isinstance(places, Checkout):
        if places.branch == branch:
            return places
        if places.branch:
            return (
                f"{TEMPLATES_ROOT} names a checkout of another branch, {places}: give one folder per branch, "
                f"{TEMPLATES_ROOT}={places.branch}={places.root},{branch}=/its/folder"
            )
        return (
            f"{TEMPLATES_ROOT} names {places.root}, whose branch is not recorded: if it is {branch}, write "
            f"{TEMPLATES_ROOT}={branch}={places.root}"
        )
    if branch not in places:
        return f"{TEMPLATES_ROOT} names folders only for {', '.join(places)}: add {branch}=/its/folder"
    return places[branch]


@cache
def _places(value: str) -> Checkout | Mapping[str, Checkout]:
    """Return the one folder that the variable names, or one for each branch."""
    if _NAMED.fullmatch(value):
        return {branch: _stated(branch, root) for branch, root in map(_named, _LISTED.split(value))}
    root = Path(value).expanduser()
    if not root.is_dir():
        raise ConfigError(f"{TEMPLATES_ROOT}: {root}: no such folder")
    folders = {branch: root / branch for branch in BRANCHES if (root / branch).is_dir()}
    if folders and open_collection(root).root == root:
        return {branch: _stated(branch, str(folder)) for branch, folder in folders.items()}
    return branch_of(root)


def _named(text: str) -> tuple[str, str]:
    found = _NAMED.fullmatch(text)
    if found is None or found[1] not in BRANCHES:
        raise ConfigError(
            f"{TEMPLATES_ROOT}: {text.strip()!r} is not BRANCH=FOLDER with a branch of {', '.join(BRANCHES)}"
        )
    return found[1], found[2].strip()


def _stated(branch: str, folder: str) -> Checkout:
    """Return the folder that the user gives for a branch; one that shows another branch is refused."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ConfigError(f"{TEMPLATES_ROOT}: {branch}: {root}: no such folder")
    shown = branch_of(root)
    if shown.branch in BRANCHES and shown.branch != branch:
        raise ConfigError(f"{TEMPLATES_ROOT}: {branch} is given {shown}")
    return Checkout(root, branch, shown.commit)


@cache
def _name_once(branch: str, checkout: str) -> None:
    say(f"templates of branch {branch}: {checkout}")


def _head(root: Path) -> tuple[str, str]:
    """Return branch and commit that git has checked out in a folder; empty where it is no checkout."""
    tops = [root]
    if root.name == "templates":
        tops += [root.parent, root.parent.parent]
    for top in tops:
        git = _git_folder(top)
        if git is not None:
            head = _text(git / "HEAD")
            if not head.startswith("ref: "):
                return "", head
            name = head.removeprefix("ref: ")
            return name.removeprefix("refs/heads/"), _commit(git, name)
    return "", ""


def _git_folder(top: Path) -> Path | None:
    git = top / ".git"
    if git.is_file():  # a worktree: the file names the folder
        git = top / _text(git).removeprefix("gitdir: ")
    return git if (git / "HEAD").is_file() else None


def _commit(git: Path, name: str) -> str:
    common = git / _text(git / "commondir") if (git / "commondir").is_file() else git
    if (common / name).is_file():
        return _text(common / name)
    packed = common / "packed-refs"
    lines = _text(packed).splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace").strip()
