"""Whose a folder is: what xmtf wrote may be replaced, anything else is left alone and named.

A folder is ours by the marker that a stage writes first, or by the manifest that it writes last (so do folders of
earlier versions count). Finished work is replaced on purpose alone: with ``--replace``. What a verb writes into a
folder file by file (tables, figures, analyses) is in :mod:`xmtf.artefacts.written_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import orjson

from xmtf.errors import ConfigError
from xmtf.files import MANIFEST, content_hash, file_sha256, read_manifest, write_json
from xmtf.guards.alone import LOCK
from xmtf.guards.unfinished import is_temporary
from xmtf.run_folder import HUB_RESULTS, RunFolder

__all__ = [
    "MARKER",
    "RUN",
    "WRITTEN",
    "check_ours",
    "check_run_folder",
    "claim",
    "claim_run_folder",
    "free_name",
    "marked_outputs",
    "marker_damage",
    "new_file",
    "refuse_foreign",
    "refuse_links",
    "refuse_loss",
    "refuse_unknown",
    "replaced_outputs",
    "stage_of",
    "work_beside",
    "write_marker",
]

MARKER = ".xmtf.json"
"""File that a stage writes first into its folder: ``{"stage": "tokens"}``."""
WRITTEN = "written"
"""File in the work folder of a file: the SHA-256 of what is about to be there."""
RUN = "run"
"""The stage in the marker of a run folder."""
_MARKED = frozenset({"stage", "training", "recipe", "outputs", "replaced", "hash"})
_CARD = "README.md"
_SHOWN = 3


def stage_of(folder: Path) -> str | None:
    """Return the stage that a folder belongs to, by its marker or manifest; None where it is not ours."""
    for name in (MARKER, MANIFEST):
        try:
            value = orjson.loads((folder / name).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            continue
        if isinstance(value, dict) and isinstance(value.get("stage"), str):
            return str(value["stage"])
    return None


def write_marker(folder: Path, stage: str, **more: object) -> None:
    """Mark a folder as a stage's; what the marker says of it is kept with a hash of itself.

    Args:
        folder: The folder.
        stage: The stage.
        more: What the marker is to say alongside, such as the SHA-256 of files.
    """
    value = {"stage": stage, **more}
    write_json(folder / MARKER, value | {"hash": content_hash(value)})


def marked_outputs(folder: Path) -> dict[str, str]:
    """Return the files that a marker names, with their SHA-256; none where it names none."""
    return _marked(folder, "outputs")


def replaced_outputs(folder: Path) -> dict[str, str]:
    """Return the files that are being replaced, as :func:`marked_outputs`: where a command was killed meanwhile."""
    return _marked(folder, "replaced")


def _marked(folder: Path, key: str) -> dict[str, str]:
    try:
        value = orjson.loads((folder / MARKER).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    outputs = value.get(key) if isinstance(value, dict) else None
    return {str(name): str(written) for name, written in outputs.items()} if isinstance(outputs, dict) else {}


def marker_damage(path: Path) -> str:
    """Return what is wrong with a marker, or nothing; those of earlier versions have no hash."""
    try:
        value = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return "cannot be read"
    known = isinstance(value, dict) and value.keys() <= _MARKED and isinstance(value.get("stage"), str)
    written = value.pop("hash", None) if known else ""
    return "" if known and written in (None, content_hash(value)) else "was changed after it was written"


def check_ours(out: Path, what: str, stages: Collection[str], *, hidden: bool = True) -> None:
    """Refuse to write into what is not ours.

    Args:
        out: Where something is to be written: nothing, an empty folder, or a folder of one of ``stages``.
        what: What is to be written, such as ``a mixture``.
        stages: What may be there.
        hidden: Whether hidden files of others count; they do where the folder is replaced as a whole.

    Raises:
        ConfigError: A file, or a folder that is not empty and not ours; names what is in it. Or one that leads by a
            link to a folder that is not ours.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError(f"{out}: is a file, and {what} is a folder; give another path")
    found = sorted(path.name for path in out.iterdir() if not _precedes_the_marker(path.name))
    found = found if hidden else [name for name in found if not name.startswith(".") or name == MARKER]
    if found and stage_of(out) not in stages:
        raise ConfigError(f"{out}: contains something other than {what} of xmtf ({_listed(found)}); give a new folder")
    refuse_links(out.rglob("*"))


def _precedes_the_marker(name: str) -> bool:
    """Return whether a file may be in a folder of ours that has no marker yet: its command was killed then."""
    return name == LOCK or (is_temporary(name) and name.startswith(f".{MARKER}."))


def refuse_links(paths: Iterator[Path]) -> None:
    """Refuse to write through links into folders that are not ours; of an empty folder nothing can be lost.

    Raises:
        ConfigError: Names the link and where it leads.
    """
    for path in paths:
        if path.is_symlink() and path.is_dir() and stage_of(path) is None and any(path.iterdir()):
            raise ConfigError(
                f"{path}: is a link to {path.resolve()}, a folder that xmtf did not create; remove the link"
            )


def _listed(found: Sequence[str]) -> str:
    return ", ".join(found[:_SHOWN]) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def claim(folder: Path, stage: str, what: str, *, hidden: bool = False) -> None:
    """Mark a folder as ours, before anything else is written into it.

    Raises:
        ConfigError: As :func:`check_ours`.
    """
    check_ours(folder, what, (stage,), hidden=hidden)
    if not (folder / MARKER).exists():
        write_marker(folder, stage)


def refuse_foreign(folder: Path, also: Callable[[str], bool] = lambda name: False) -> None:
    """Refuse to replace a finished folder as a whole where somebody put something else into it.

    Args:
        folder: The folder; where it has no manifest, nothing finished is replaced.
        also: Tells of a relative path that the manifest does not name whether it is ours all the same.

    Raises:
        ConfigError: Names what its manifest does not know, folders included.
    """
    if (folder / MANIFEST).is_file():
        refuse_unknown(folder, {*read_manifest(folder).outputs, MANIFEST, MARKER, _CARD, HUB_RESULTS, LOCK}, also)


def refuse_unknown(folder: Path, known: Collection[str], also: Callable[[str], bool] = lambda name: False) -> None:
    """Refuse to delete a folder that holds more than the ``known`` files; see :func:`refuse_foreign`."""
    above = {parent.as_posix() for name in known for parent in Path(name).parents}
    ours = {*known, *above}
    paths = (path.relative_to(folder) for path in folder.rglob("*"))
    found = sorted(
        path.as_posix()
        for path in paths
        if path.as_posix() not in ours and not also(path.as_posix()) and not is_temporary(path.parts[0])
    )
    if found:
        raise ConfigError(
            f"{folder}: contains something other than what xmtf wrote ({_listed(found)}); move it, or give a new folder"
        )


def refuse_loss(where: Path, lost: Sequence[str], instead: str) -> None:
    """Refuse to replace finished work.

    Args:
        where: The folder.
        lost: What would be lost, one phrase each; where there is nothing, nothing is refused.
        instead: What to give to keep it, such as ``run_folder=runs/demo-2``.

    Raises:
        ConfigError: Names what would be lost.
    """
    if lost:
        raise ConfigError(
            f"{where}: {' and '.join(lost)} would be lost; give {instead} to keep existing work, or --replace to "
            f"replace it"
        )


def free_name(path: Path) -> Path:
    """Return a path next to ``path`` that is not taken: ``runs/demo-2``."""
    number = 2
    while path.with_name(f"{path.name}-{number}").exists():
        number += 1
    return path.with_name(f"{path.name}-{number}")


def new_file(path: Path | None, *, replace: bool) -> Path | None:
    """Return a path that a command may write its result to.

    Raises:
        ConfigError: Something is there, and ``replace`` is not given; but for the file of the same command, which was
            killed when it had just written it.
    """
    if path is None:
        return None
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give a file")
    if (path.exists() or path.is_symlink()) and not replace and not _just_written(path):
        raise ConfigError(f"{path}: already exists; give another file, or --replace to overwrite it")
    return path


def work_beside(path: Path) -> Path:
    """Return the hidden folder in which waits what a file is going to be made of."""
    return path.with_name(f".{path.name}.work")


def _just_written(path: Path) -> bool:
    note = work_beside(path) / WRITTEN
    return note.is_file() and path.is_file() and note.read_text(encoding="utf-8") == file_sha256(path)


def check_run_folder(folder: Path) -> None:
    """Refuse a run folder that holds something else: nobody's recipe.yaml or model/ is overwritten.

    Raises:
        ConfigError: As :func:`check_ours`.
    """
    parts = [path for pattern in ("*", "results/*") for path in folder.glob(pattern)] if folder.is_dir() else []
    run = RunFolder(folder)
    refuse_links(path for path in parts if path != run.all_results)
    log = run.log
    if log.is_symlink():
        raise ConfigError(f"{log}: is a link to {log.resolve()}; remove it, or give another run folder")
    if not any(stage_of(path) for path in parts):  # of an earlier version, or of a verb that makes one part of a run
        check_ours(folder, "a run", (RUN,), hidden=False)


def claim_run_folder(folder: Path) -> None:
    """Mark a run folder as ours, before anything else is written into it.

    Raises:
        ConfigError: As :func:`check_ours`.
    """
    check_run_folder(folder)
    if not (folder / MARKER).exists():
        write_marker(folder, RUN)
