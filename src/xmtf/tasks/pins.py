"""Commits that datasets are pinned to: a file next to a recipe, dataset -> revision -> commit.

::

    facebook/belebele:
      main: 75b399394a9803252cfec289d103de462763db7c
    openlanguagedata/flores_plus:
      refs/convert/parquet: 5fec6c13f9e5a4db2f745d4ec0d7c9721ddc4f06

What a recipe reads is then of these commits: the hub is asked for them, and a mirror that holds another one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.recipe import load_yaml
from xmtf.sources.fetch import expand_patterns
from xmtf.sources.locate import Located, locate_all
from xmtf.sources.reference import SourceRef
from xmtf.tasks.task import Task

__all__ = ["Pins", "find_pins", "pinned", "read_pins"]

Pins = Mapping[str, Mapping[str, str]]
"""Dataset -> revision -> commit."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def read_pins(path: Path) -> Pins:
    """Read a file of pins.

    Raises:
        ConfigError: It is not laid out so.
    """
    data = load_yaml(path)
    if not isinstance(data, dict) or not all(isinstance(each, dict) for each in data.values()):
        raise ConfigError(f"{path}: pins are a mapping from datasets to mappings from revisions to commits")
    for dataset, revisions in data.items():
        for revision, commit in revisions.items():
            if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
                raise ConfigError(f"{path}: {dataset}: {revision}: {commit!r} is not a commit of 40 hexadecimal digits")
    return data


def pinned(tasks: Iterable[Task], path: Path, *, whole: bool = True) -> list[Task]:
    """Return the tasks, those of pinned datasets with their commits.

    Args:
        tasks: The tasks.
        path: File of the pins.
        whole: Whether the tasks are all that the pins are meant for.

    Raises:
        ConfigError: The file of pins is not laid out so.
        UnknownNameError: It pins a revision that no task has, or of ``whole`` a dataset.
    """
    pins, known, tasks = read_pins(path), dict[str, set[str]](), list(tasks)
    for task in tasks:
        known.setdefault(task.dataset, set()).add(_revision(task.revision))
    for dataset, revisions in pins.items():
        if dataset not in known:
            if not whole:
                continue
            raise UnknownNameError("dataset", dataset, known, str(path))
        for revision in revisions.keys() - known[dataset]:
            raise UnknownNameError("revision", revision, known[dataset], f"{path}: {dataset}")
    return [
        replace(task, commit=commit) if (commit := pins.get(task.dataset, {}).get(_revision(task.revision))) else task
        for task in tasks
    ]


def find_pins(refs: Iterable[SourceRef], *, offline: bool) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Describe of which commits splits are, where they are read from now.

    Args:
        refs: The splits.
        offline: Never touch the network.

    Returns:
        The pins, and split -> why it cannot be pinned.

    Raises:
        ConfigError: Files of a dataset are of two commits.
    """
    pins, not_pinned = dict[str, dict[str, str]](), dict[str, str]()
    refs = [replace(ref, commit="") for ref in expand_patterns(refs, offline=offline)]
    for ref, found in zip(refs, locate_all(refs, offline=offline), strict=True):
        if not isinstance(found, Located):
            not_pinned[str(ref)] = str(found)
        elif not found.origin.commit:
            not_pinned[str(ref)] = f"its commit is not recorded ({', '.join(map(str, found.files[:1]))})"
        else:
            known = pins.setdefault(ref.dataset, {})
            before = known.setdefault(_revision(ref.revision), found.origin.commit)
            if before != found.origin.commit:
                raise ConfigError(
                    f"{ref}: is of commit {found.origin.commit[:12]}, and other splits of {ref.dataset} are of "
                    f"{before[:12]}; fetch the dataset again into one folder"
                )
    return pins, not_pinned


def _revision(revision: str | None) -> str:
    return revision or "main"
