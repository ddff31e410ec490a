"""A results folder: the names of its files, and which folder may become one."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.files import MANIFEST, check_replaced, was_written_by
from xmtf.results.items import ITEMS, is_items, item_paths
from xmtf.run_folder import RunFolder

__all__ = ["COMPLETIONS", "ITEMS", "JOURNALS", "SAMPLES", "SCORES", "check_results", "no_results"]

SCORES = "scores.jsonl"
SAMPLES = "samples.jsonl"
COMPLETIONS = "completions.jsonl"
"""Programs that a model wrote; only code evaluation has them."""
JOURNALS = "answers-*.jsonl"
"""Journals of answers; only evaluations of our own have them."""


def check_results(out: Path, never: str) -> None:
    """Refuse to write results into a folder that holds something else.

    Args:
        out: Where results are to be written; nothing, an empty folder, or results of the same sort.
        never: Pattern of files that only results of another sort have.

    Raises:
        ConfigError: It may not be written to.
    """
    check_replaced(out, "results of the same sort", partial(_holds_results, never=never))


def _holds_results(folder: Path, never: str) -> bool:
    ours = was_written_by("evaluation")(folder) if (folder / MANIFEST).exists() else True
    known = any(next(folder.glob(name), None) for name in (SCORES, ITEMS, JOURNALS))
    return ours and known and next(folder.glob(never), None) is None and all(map(is_items, item_paths(folder)))


def no_results(folder: Path, missing: str) -> SourceError:
    """Return the error that says what to give instead of a folder that has no results: of a run, which it has.

    Args:
        folder: What was given.
        missing: What is not there, such as ``scores.jsonl``.
    """
    found = sorted(str(path.parent) for path in RunFolder(folder).all_results.glob(f"*/{SCORES}"))
    wanted = f"the results of that run, {' or '.join(found)}" if found else "a results folder of `xmtf evaluate`"
    return SourceError(f"{folder}: no {missing} there; give {wanted}")
