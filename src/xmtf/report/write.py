"""``xmtf report build`` and ``xmtf.report(...)``: one page of runs and results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from xmtf.errors import ConfigError
from xmtf.recipe.schema import Report
from xmtf.remote.storage import is_remote
from xmtf.report.build import build_report
from xmtf.report.comparison.results import local_sources
from xmtf.report.inputs import parse_inputs
from xmtf.run_folder import PAGE, RunFolder

__all__ = ["report_folder", "write_report"]


def write_report(
    sources: Path | str | Iterable[Path | str] = (),
    out: Path | str | None = None,
    *,
    title: str | None = None,
    items: int = 1000,
    reference: bool = False,
    inputs: Mapping[str, Path | str] | None = None,
    overlap: Path | str | None = None,
) -> Path:
    """Write one page of runs and results - summary, tables, figures and items - and return its file.

    Args:
        sources: Run folders, results folders, and addresses of results.
        out: Folder of the report; default that of the one run.
        title: Heading.
        items: Items of each dataset to show.
        reference: With the published numbers of BLOOM, BLOOMZ, mT0 and others.
        inputs: Name -> file of analyses and texts, see :mod:`xmtf.report.inputs`.
        overlap: Folder of ``xmtf analyze contamination --out``; default the run's.

    Raises:
        ConfigError: No folder for the report of several sources, or it holds something else.
        SourceError: A source is neither a run folder nor a results folder.
    """
    named = [sources] if isinstance(sources, Path | str) else list(sources)
    target = report_folder(named, None if out is None else Path(out))
    paths = local_sources(named)
    given = [f"{name}={path}" for name, path in (inputs or {}).items()]
    read = parse_inputs(given, reference=reference, overlap=None if overlap is None else Path(overlap))
    build_report(paths, target, Report(title=title, items=items), read)
    return target / PAGE


def report_folder(sources: Sequence[Path | str], out: Path | None) -> Path:
    """Return the folder of a report: the one that is named, or that of the only run.

    Raises:
        ConfigError: None is named, and there are several sources, or none, or an address.
    """
    if out is None and (len(sources) != 1 or is_remote(str(sources[0]))):
        raise ConfigError("--out: give the folder for the report, such as --out report")
    return RunFolder(Path(sources[0])).report if out is None else out
