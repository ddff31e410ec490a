"""Whether a whole run folder still holds the bytes that its stages wrote: what ``xmtf verify`` finds out.

Every file is read; nothing is taken from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xmtf.checksums import Damage, damages
from xmtf.errors import DataError, SourceError
from xmtf.evaluation.asking.journal import damaged_lines
from xmtf.files import MANIFEST, read_manifest
from xmtf.progress import track
from xmtf.report.agreement import check_agreement
from xmtf.results.files import JOURNALS
from xmtf.run_folder import RunFolder

__all__ = ["Verified", "verify"]


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it.

    Attributes:
        stages: Folders with a manifest.
        files: Files that a manifest or a checkpoint names.
        damages: What is not as it was written.
    """

    stages: int
    files: int
    damages: tuple[Damage, ...]


def verify(folder: Path) -> Verified:
    """Read every file that the manifests and checkpoints in a folder name.

    Args:
        folder: A run folder, or the folder of one stage.

    Raises:
        SourceError: Nothing in it says what it should hold.
    """
    manifests = sorted(path.parent for path in folder.rglob(MANIFEST))
    checkpoints = sorted(folder.rglob("step-*/state.json"))
    if not manifests and not checkpoints:
        raise SourceError(f"{folder}: holds no manifest and no checkpoint; give the folder of a run, such as runs/demo")
    found: list[Damage] = []
    files = 0
    with track("verifying", len(manifests) + len(checkpoints), "folders") as bar:
        for stage in manifests:
            count, wrong = _stage(stage)
            files += count
            found += wrong
            bar.advance()
        for path in checkpoints:
            count, wrong = _checkpoint(path.parent)
            files += count
            found += wrong
            bar.advance()
    found += _journals(folder)
    if not found:
        found += _agreement(folder)
    return Verified(len(manifests), files, tuple(found))


def _stage(folder: Path) -> tuple[int, list[Damage]]:
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return 1, [Damage(folder / MANIFEST, folder.name, str(error).partition(": ")[2] or str(error))]
    return len(manifest.outputs), list(damages(folder, manifest))


def _checkpoint(folder: Path) -> tuple[int, list[Damage]]:
    from xmtf.training.checkpoint.state import damaged, read_state, torn  # needs torch, which reports do without

    lacks = torn(folder) or damaged(folder)
    if lacks is not None:
        return 1, [Damage(folder, "train", lacks)]
    return len(read_state(folder).files), []


def _journals(folder: Path) -> Iterator[Damage]:
    for path in sorted(folder.rglob(JOURNALS)):
        count = damaged_lines(path)
        if count:
            yield Damage(path, "evaluation", f"{count} lines are not as they were written; they will be asked again")


def _agreement(folder: Path) -> Iterator[Damage]:
    run = RunFolder(folder)
    if run.is_run:
        try:
            check_agreement(run)
        except DataError as error:
            yield Damage(folder, "run", str(error).removeprefix(f"{folder}: "))
