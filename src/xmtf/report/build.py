"""Tables and figures of runs and results, for a terminal and as files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.report.collect import collect_run
from xmtf.report.figures.catalogue import Drawn, Figure, draw_figures
from xmtf.report.figures.own import CAPTIONS, result_figures, run_figures
from xmtf.report.figures.style import save_figure
from xmtf.report.inputs import Inputs, texts_at_hand
from xmtf.report.published import gather, published_tables
from xmtf.report.results import collect_results
from xmtf.report.tables import TEXT, Table, result_tables, run_tables

__all__ = ["figures_of", "summary_lines", "tables_of"]


def tables_of(paths: Sequence[Path], inputs: Inputs) -> list[Table]:
    """Return every table of results: suites side by side first, then all results and what else the work published.

    Args:
        paths: Run folders, or folders of results; may be empty for the published numbers alone.
        inputs: Analyses, and whether published numbers stand beside.

    Raises:
        SourceError: A path holds no results, or there is nothing to show.
    """
    runs = [path for path in paths if (path / "recipe.yaml").exists()]
    if len(paths) == len(runs) == 1:
        run = collect_run(runs[0])
        results, own = run.results, run_tables(run)
    else:
        results = collect_results(paths)
        own = result_tables(results)
    own.sort(key=lambda table: table.name != "results")
    tables = [*own, *published_tables(gather(results.scores, reference=inputs.reference), inputs)]
    if not tables:
        raise SourceError("no results to show: give a run or results folder, or --reference for the published numbers")
    return tables


def figures_of(
    paths: Sequence[Path],
    inputs: Inputs,
    folder: Path,
    only: Sequence[str] = (),
    formats: Sequence[str] = ("svg", "png", "pdf"),
) -> Drawn:
    """Write every figure of results: those of a run first, then those of the published work.

    Args:
        paths: Run folders, or folders of results; may be empty for the published numbers alone.
        inputs: Analyses and texts, and whether published numbers stand beside.
        folder: Where files are written.
        only: Numbers or names of figures; every one by default.
        formats: Of ``svg``, ``png`` and ``pdf``.

    Raises:
        SourceError: A path holds no results.
        UnknownNameError: ``only`` names no figure.
    """
    runs = [path for path in paths if (path / "recipe.yaml").exists()]
    run = collect_run(runs[0]) if len(paths) == len(runs) == 1 else None
    results = run.results if run is not None else collect_results(paths)
    own = (run_figures(run) if run is not None else {}) | result_figures(results)
    figures = [
        Figure("", name, "", CAPTIONS[name], tuple(save_figure(figure, folder, name, tuple(formats))))
        for name, figure in own.items()
        if not only or name in only
    ]
    rest = [name for name in only if name not in own]
    if only and not rest:
        return Drawn(figures)
    inputs = replace(inputs, at_hand=texts_at_hand(results))
    drawn = draw_figures(gather(results.scores, reference=inputs.reference), inputs, folder, rest, formats)
    return replace(drawn, figures=[*figures, *drawn.figures])


def summary_lines(report: Path) -> tuple[str, ...]:
    """Return the before/after table of a built report as lines of text, for the end of a run on a terminal."""
    path = report / "tables" / "results.csv"
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numeric = [column not in TEXT for column in rows[0]]
    return tuple(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in rows
    )
