"""Results from Python."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from xmtf.report.comparison.results import local_sources, results_folders
from xmtf.results.frames import Results, read_results

__all__ = ["load_results"]


def load_results(path: Path | str | Iterable[Path | str]) -> Results:
    """Read results as data frames.

    Args:
        path: A results folder, the folder of a run (its evaluations before and after), a folder of results folders,
            an address of such (``s3://bucket/demo/results``), or several of these.

    Raises:
        SourceError: There are no results.
        DataError: A file is broken; names it.
    """
    paths = [path] if isinstance(path, Path | str) else path
    return read_results([folder for each in local_sources(paths) for folder in results_folders(each)])
