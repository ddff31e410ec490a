"""A results folder: the names of its files, and which folder may become one."""

from __future__ import annotations

from pathlib import Path

from xmtf.artefacts.ownership import MARKER, check_ours, claim, free_name, refuse_loss, stage_of, write_marker
from xmtf.errors import ConfigError, SourceError
from xmtf.files import file_sha256
from xmtf.results.completions import COMPLETIONS
from xmtf.results.items import ITEMS, is_items, item_paths
from xmtf.results.samples import SAMPLES
from xmtf.run_folder import RunFolder

__all__ = [
    "COMPLETIONS",
    "ITEMS",
    "JOURNALS",
    "SAMPLES",
    "SCORES",
    "check_results",
    "claim_results",
    "describe_results",
    "no_results",
    "refuse_replacing",
]

_STAGE = "evaluation"
SCORES = "scores.jsonl"
JOURNALS = f"answers-{16 * '[0-9a-f]'}*.jsonl"
"""Journals of answers; only evaluations of our own have them."""


def check_results(out: Path, never: str) -> None:
    """Refuse to write results into a folder that holds something else.

    Args:
        out: Where results are to be written; nothing, an empty folder, or results of the same kind.
        never: Pattern of files that only results of another sort have.

    Raises:
        ConfigError: It may not be written to.
    """
    if not _of_an_earlier_version(out):
        check_ours(out, "results of the same kind", (_STAGE,))
    items = item_paths(out) if out.is_dir() else []
    foreign = next(out.glob(never), None) is not None or (out / ITEMS).is_symlink() or not all(map(is_items, items))
    if foreign:
        raise ConfigError(f"{out}: contains something other than results of the same kind; give a new folder")


def refuse_replacing(out: Path, *, replace: bool) -> None:
    """Refuse to replace finished results, unless that is meant.

    Raises:
        ConfigError: There are some.
    """
    if (out / SCORES).exists() and not replace:
        refuse_loss(out, ["the results there"], f"another --out, such as {free_name(out)},")


def _of_an_earlier_version(folder: Path) -> bool:
    """Return whether a folder holds a journal of answers: a killed evaluation, or results of code, had no manifest."""
    return next(folder.glob(JOURNALS), None) is not None


def claim_results(out: Path) -> None:
    """Mark a results folder as ours, before anything else is written into it."""
    if _of_an_earlier_version(out) and not (out / MARKER).exists():
        write_marker(out, _STAGE)
    elif stage_of(out) is None:
        claim(out, _STAGE, "results")


def describe_results(out: Path, **more: object) -> None:
    """Describe in the marker of results that have no manifest, of code or of another harness, what their files are.

    Args:
        out: Folder of the results.
        more: What else the marker is to say.
    """
    paths = [path for path in (out / SCORES, out / COMPLETIONS, *item_paths(out)) if path.is_file()]
    outputs = {path.relative_to(out).as_posix(): file_sha256(path) for path in paths}
    write_marker(out, _STAGE, outputs=outputs, **more)


def no_results(folder: Path, missing: str) -> SourceError:
    """Return the error that says what to give instead of a folder that has no results: of a run, which it has.

    Args:
        folder: What was given.
        missing: What is not there, such as ``scores.jsonl``.
    """
    found = sorted(str(path.parent) for path in RunFolder(folder).all_results.glob(f"*/{SCORES}"))
    wanted = f"the results of that run, {' or '.join(found)}" if found else "a results folder of `xmtf evaluate`"
    return SourceError(f"{folder}: has no {missing}; give {wanted}")
