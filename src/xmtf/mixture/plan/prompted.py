"""Examples that are already prompted: folders in the layout of xP3, xP3x and P3.

One file of rows a shard, mostly JSON lines; each record holds ``inputs`` and ``targets``, and in xP3x where it comes
from. What is not read is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from xmtf.errors import ConfigError, SourceError
from xmtf.execution import warn
from xmtf.languages.codes import normalize_language
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import HeldOut, PromptedFolder
from xmtf.remote.copies import copy_folder, remote_copy, remote_names
from xmtf.remote.storage import is_remote
from xmtf.sources.files.kinds import kind_of, stem_of
from xmtf.sources.tables import fingerprint_files
from xmtf.tasks.selection import check_patterns, dataset_names, language_pattern, normalized

__all__ = ["PromptedFile", "prompted_files"]

_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class PromptedFile:
    """One file of a prompted folder.

    Attributes:
        path: The file.
        language: Code of its language: the folder that it is in.
        task: Task id: folder and file name.
        dataset: Name of the folder, for records that do not name their dataset.
        split: Split of records that do not name theirs.
        template: Template of records that do not name theirs: the file name.
        cluster: Task cluster.
        licence: Licence of the data.
        rate: Sampling rate.
        size: Bytes of the file.
        fingerprint: Hash of its content and of what its records are called.
        without_templates: Patterns of the templates whose records are left out.
        without_datasets: Patterns of the datasets whose records are left out.
        without_languages: Patterns of the languages of prompts whose records are left out.
        prompt_language: Language of prompts of which neither the record nor the template's name says it.
        mode: ``legacy`` keeps targets of which nothing is seen.
    """

    path: str
    language: str
    task: str
    dataset: str
    split: str
    template: str
    cluster: str
    licence: str
    rate: float
    size: int
    fingerprint: str
    without_templates: tuple[str, ...] = ()
    without_datasets: tuple[str, ...] = ()
    without_languages: tuple[str, ...] = ()
    prompt_language: str = "en"
    mode: str = "fixed"


def prompted_files(loaded: LoadedRecipe) -> tuple[PromptedFile, ...]:
    """Return the files of the recipe's prompted folders that are not held out, ordered by folder and name.

    Raises:
        SourceError: A folder is missing, or holds no such file.
        UnknownNameError: A folder in it is named like no language, or a pattern matches nothing of it.
        ConfigError: Everything of a folder is left out.
    """
    found: list[PromptedFile] = []
    held_out = normalized(loaded.recipe.mixture.held_out)
    for number, folder in enumerate(loaded.recipe.mixture.prompted):
        where = f"{loaded.path}: mixture.prompted.{number}"
        root, files = _files(loaded.path.parent, folder.path)
        paths = [path for path in files if path.parent.parent == root and kind_of(path) is not None]
        if not paths:
            raise SourceError(
                f"{where}: {folder.path if is_remote(folder.path) else root} has no <language>/*.jsonl files"
            )
        _name_others(root, [path for path in files if path not in set(paths)], where)
        folder = folder.model_copy(update={"languages": tuple(language_pattern(p) for p in folder.languages)})
        check_patterns("language", folder.languages, {_language(path, where) for path in paths}, f"{where}.languages")
        check_patterns("file", folder.files, [path.name for path in paths], f"{where}.files")
        mode = loaded.recipe.mixture.mode
        taken = [file for path in paths if (file := _take(path, folder, held_out, where, mode)) is not None]
        if not taken:
            reasons = "its own filters, by mixture.held_out, or by its name (files named merged* are not read)"
            raise ConfigError(f"{where}: every file of {root} is excluded, by {reasons}")
        _check_names(taken, where)
        found += taken
    return tuple(found)


def _files(beside: Path, folder: str) -> tuple[Path, list[Path]]:
    """Return a prompted folder and its files; of one at an address the copies, most of which are not made yet."""
    if is_remote(folder):
        root = copy_folder(folder)
        return root, [root / name for name in sorted(remote_names(folder)) if not Path(name).name.startswith(".")]
    root = beside / folder
    return root, sorted(path for path in root.rglob("[!.]*") if path.is_file())


def _name_others(root: Path, others: Sequence[Path], where: str) -> None:
    """Describe which files are passed by: of another kind, in deeper folders, or alongside the folders of languages."""
    names = [path.relative_to(root) for path in others]
    named = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    unread = [str(name) for name in named if len(name.parts) > 1 or (kind_of(name) and name.suffix != ".json")]
    if unread:
        more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
        _warn_once(
            f"  {where}: {root}: skipped, since only files of rows in folders named after a language are read: "
            f"{', '.join(unread[:_MOST_NAMED])}{more}"
        )


@cache
def _warn_once(text: str) -> None:
    warn(text)


def _check_names(taken: Sequence[PromptedFile], where: str) -> None:
    """Refuse two files that differ in their kind alone, such as a copy of another kind."""
    first: dict[str, PromptedFile] = {}
    for file in taken:
        other = first.setdefault(file.task, file)
        if other is not file:
            raise ConfigError(
                f"{where}: {other.path} and {Path(file.path).name} have the same name; remove or rename one of them, "
                f"or exclude it with `files`"
            )


def _language(path: Path, where: str) -> str:
    return normalize_language(path.parent.name, f"{where}: {path.parent}")


def _take(path: Path, folder: PromptedFolder, held_out: HeldOut, where: str, mode: str) -> PromptedFile | None:
    """Return a file of a prompted folder, or None where a filter leaves it out."""
    language = _language(path, where)
    stem = stem_of(path)
    if path.name.startswith("merged") or not _matches(path.name, folder.files):
        return None
    if not _matches(language, folder.languages) or _matches(language, held_out.languages):
        return None
    if any(_matches(each, held_out.datasets) for each in dataset_names(Path(folder.path).name)):
        return None
    if _matches(folder.cluster, held_out.clusters) or _matches(stem, held_out.templates):
        return None
    if is_remote(folder.path):
        wanted = f"{path.parent.name}/{path.name}"
        remote_copy(folder.path, "", lambda other: other == wanted)
    name = Path(folder.path).name
    content = fingerprint_files([path])
    return PromptedFile(
        path=str(path),
        language=language,
        task=f"{name}/{path.parent.name}/{stem}",
        dataset=name,
        split="train",
        template=stem,
        cluster=folder.cluster,
        licence=folder.licence,
        rate=folder.rate,
        size=path.stat().st_size,
        fingerprint=f"{content} {name} {folder.cluster}",
        without_templates=held_out.templates,
        without_datasets=held_out.datasets,
        without_languages=held_out.languages,
        prompt_language=normalize_language(folder.prompt_language, f"{where}.prompt_language"),
        mode=mode,
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
