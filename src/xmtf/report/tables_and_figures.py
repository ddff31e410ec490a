"""Tables and figures of runs and results, for a terminal and as files."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.report.collect import Material, collect
from xmtf.report.figures.catalogue import Drawn, Figure, draw_figures
from xmtf.report.figures.drawing.style import save_figure
from xmtf.report.figures.own import CAPTIONS, result_figures, run_figures
from xmtf.report.inputs import Inputs, texts_at_hand
from xmtf.report.published import gather, published_tables
from xmtf.report.reference.demonstration import NOTE, demonstration_run, demonstration_texts
from xmtf.report.tables import DETAILS, TEXT, Table, composition_tables, result_tables
from xmtf.text.table import aligned

__all__ = ["demonstrates", "figures_of", "published_figures", "summary_lines", "tables_of"]


def tables_of(paths: Sequence[Path], inputs: Inputs) -> list[Table]:
    """Return every table of results: suites side by side first, then all results and what else the work published.

    Args:
        paths: Run folders, or folders of results; may be empty for the published numbers alone.
        inputs: Analyses, and whether published numbers are next to.

    Raises:
        SourceError: A path holds no results, or there is nothing to show.
    """
    material = collect(paths, inputs.overlap)
    run = material.runs[0] if len(material.runs) == len(paths) == 1 else None
    own = [*(composition_tables(run) if run is not None else ()), *result_tables(material.results)]
    own.sort(key=lambda table: table.name != "results")
    tables = [*own, *published_tables(gather(material.results.scores, reference=inputs.reference), inputs)]
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
        inputs: Analyses and texts, and whether published numbers are next to.
        folder: Where files are written.
        only: Numbers or names of figures; every one by default.
        formats: Of ``svg``, ``png`` and ``pdf``.

    Raises:
        SourceError: A path holds no results.
        UnknownNameError: ``only`` names no figure.
    """
    material = collect(paths)
    own = result_figures(material.results)
    if len(material.runs) == 1:
        own = run_figures(material.runs[0]) | own
    elif demonstrates(material, inputs):
        own = run_figures(demonstration_run(), NOTE)
    figures = [
        Figure("", name, "", CAPTIONS[name], tuple(save_figure(figure, folder, name, tuple(formats))))
        for name, figure in own.items()
        if not only or name in only
    ]
    rest = [name for name in only if name not in own]
    if only and not rest:
        return Drawn(figures)
    drawn = published_figures(material, inputs, folder, rest, formats)
    return replace(drawn, figures=[*figures, *drawn.figures])


def demonstrates(material: Material, inputs: Inputs) -> bool:
    """Return whether the published numbers stand alone, so that our demonstration fills in what was not published."""
    return inputs.reference and not material.runs and not material.results.folders


def published_figures(
    material: Material, inputs: Inputs, folder: Path, only: Sequence[str], formats: Sequence[str]
) -> Drawn:
    """Write the figures of the published work with the results available in them; arguments as of ``figures_of``."""
    if demonstrates(material, inputs):
        inputs = replace(inputs, at_hand=demonstration_texts(), note=NOTE)
    else:
        inputs = replace(inputs, at_hand=texts_at_hand(material.results))
    results = gather(material.results.scores, reference=inputs.reference)
    return draw_figures(results, inputs, folder, only, formats)


def summary_lines(report: Path) -> tuple[str, ...]:
    """Return the before/after table of a built report as lines of text, for the end of a run on a terminal."""
    path = report / "tables" / "results.csv"
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    kept = [place for place, column in enumerate(rows[0]) if column not in DETAILS]
    lines = [[row[place] for place in kept] for row in rows]
    return tuple(aligned(lines, numbers=[place for place, column in enumerate(lines[0]) if column not in TEXT]))
