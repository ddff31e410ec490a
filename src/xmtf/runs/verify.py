"""Whether a whole run folder still holds the bytes that its stages wrote: what ``xmtf verify`` finds out.

Every file is read; nothing is taken from memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from xmtf.artefacts.checksums import Damage, damages, marked_damages
from xmtf.errors import DataError, SourceError
from xmtf.artefacts.manifest_parts import EvaluationDetails
from xmtf.evaluation.asking.journal import count_lines
from xmtf.artefacts.event_log import read_events
from xmtf.files import MANIFEST, read_json, read_manifest
from xmtf.artefacts.ownership import MARKER, marked_outputs, marker_damage, stage_of
from xmtf.progress import track
from xmtf.recipe.written import check_written
from xmtf.report.agreement import check_agreement, log_lacks
from xmtf.results.files import JOURNALS, SCORES
from xmtf.run_folder import LABELS, RunFolder, tokenizer_of

__all__ = ["Verified", "verify"]

_MARKED = ("tokens", "evaluation")
"""Stages that leave a marker alongside their manifest; the others are renamed to their place when they are whole."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it.

    Attributes:
        stages: Folders with a manifest.
        files: Files that a manifest or a checkpoint names.
        damages: What was changed or cut short.
    """

    stages: int
    files: int
    damages: tuple[Damage, ...]


def verify(folder: Path) -> Verified:
    """Read every file that the manifests, the checkpoints and, where there is no manifest, the markers in a folder name.

    Args:
        folder: A run folder, or the folder of one stage.

    Raises:
        SourceError: Nothing in it says what it should hold.
    """
    manifests = sorted(path.parent for path in folder.rglob(MANIFEST))
    checkpoints = sorted(folder.rglob("step-*/state.json"))
    marked = [path.parent for path in folder.rglob(MARKER) if not (path.parent / MANIFEST).exists()]
    named = sum(len(marked_outputs(path)) for path in marked)
    if not manifests and not checkpoints and not named:
        raise SourceError(f"{folder}: has no {MANIFEST} and no checkpoint; give a run folder, such as runs/demo")
    found: list[Damage] = []
    files = named
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
    found += _markers(folder)
    found += _unfinished(folder)
    found += _log(folder)
    found += _recipe(folder)
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
    """Yield what of journals was changed or cut short; in those of finished results nothing may be missing."""
    finished = dict(chain.from_iterable(_answers(path.parent).items() for path in folder.rglob(MANIFEST)))
    for path in sorted({*folder.rglob(JOURNALS), *finished}):
        lines = count_lines(path)
        lacking = finished.get(path, 0) - lines.whole
        if not path.exists():
            what = "is missing"
        elif lines.damaged:
            what = f"{lines.damaged} lines were changed or cut short"
        elif lacking > 0:
            what = f"{lacking} lines are missing"
        elif path in finished and lines.torn:
            what = "ends in an incomplete line"
        else:
            continue
        yield Damage(path, "evaluation", f"{what}; what it does not answer will be queried again")


def _answers(results: Path) -> dict[Path, int]:
    """Return how many lines the journal of finished results had; nothing where the manifest does not say."""
    try:
        manifest = read_manifest(results)
        told = EvaluationDetails.of(manifest, results).answers if manifest.stage == "evaluation" else {}
    except DataError:  # damaged: named by itself
        return {}
    return {results / name: count for name, count in told.items()}


def _markers(folder: Path) -> Iterator[Damage]:
    """Yield what is wrong with markers; only earlier versions, whose manifests have no hash, wrote folders without."""
    for path in sorted(folder.rglob(MANIFEST)):
        if _is_hashed(path) and stage_of(path.parent) in _MARKED and not (path.parent / MARKER).exists():
            yield Damage(path.parent / MARKER, path.parent.name, "is missing")
    run = RunFolder(folder)
    if run.is_run and any(map(_is_hashed, folder.rglob(MANIFEST))):
        wanted = [folder, run.checkpoints] if any(run.checkpoints.glob("step-*")) else [folder]
        yield from (Damage(path / MARKER, path.name, "is missing") for path in wanted if not (path / MARKER).exists())
    for path in sorted(folder.rglob(MARKER)):
        what = marker_damage(path)
        if what:
            yield Damage(path, path.parent.name, what)
        elif not (path.parent / MANIFEST).exists():
            yield from marked_damages(path.parent, stage_of(path.parent) or path.parent.name)


def _is_hashed(manifest: Path) -> bool:
    try:
        return "hash" in read_json(manifest)
    except (DataError, TypeError):  # damaged: named by itself
        return False


def _unfinished(folder: Path) -> Iterator[Damage]:
    """Yield the folders of a run that hold what only a finished stage leaves, and have no manifest."""
    run = RunFolder(folder)
    atomic = (run.mixture, run.initial, run.model, run.report)
    whole = [path for path in atomic if path.is_dir() and any(path.iterdir())]
    whole += [path for path in map(run.results, LABELS) if (path / SCORES).exists()]
    whole += [run.tokens] if tokenizer_of(run.tokens).is_dir() and not (run.tokens / "shards").is_dir() else []
    for path in whole:
        if not (path / MANIFEST).exists():
            yield Damage(path / MANIFEST, path.name, "is missing: the stage is not finished, or its folder was damaged")
    for path in sorted(run.checkpoints.glob("step-*")):
        if path.is_dir() and not (path / "state.json").exists():
            yield Damage(path / "state.json", "train", "is missing: not a checkpoint")


def _log(folder: Path) -> Iterator[Damage]:
    run = RunFolder(folder)
    try:
        lacks = log_lacks(run)
        for _ in read_events(run.log) if run.log.is_file() else ():
            pass
    except DataError as error:
        lacks = str(error).removeprefix(f"{run.log}: ")
    if lacks:
        yield Damage(run.log, "run", lacks)


def _recipe(folder: Path) -> Iterator[Damage]:
    run = RunFolder(folder)
    try:
        check_written(run)
    except DataError as error:
        yield Damage(run.recipe, "run", str(error).removeprefix(f"{run.recipe}: "))


def _agreement(folder: Path) -> Iterator[Damage]:
    run = RunFolder(folder)
    if run.is_run:
        try:
            check_agreement(run)
        except DataError as error:
            yield Damage(folder, "run", str(error).removeprefix(f"{folder}: "))
