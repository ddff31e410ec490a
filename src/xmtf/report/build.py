"""Build the report of a run: tables, figures and the page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.errors import SourceError
from xmtf.files import (
    MANIFEST,
    Manifest,
    Stopwatch,
    atomic_folder,
    content_hash,
    file_sha256,
    is_finished,
    read_manifest,
    write_manifest,
    write_text,
)
from xmtf.recipe.schema import Report
from xmtf.report.cards import model_card
from xmtf.report.collect import LABELS, Run, collect_run
from xmtf.report.compare import compare
from xmtf.report.figures import composition, loss, suites
from xmtf.report.figures.catalogue import Drawn, Figure, draw_figures
from xmtf.report.figures.style import save_figure
from xmtf.report.inputs import Inputs
from xmtf.report.page import render_page
from xmtf.report.published import gather, published_tables
from xmtf.report.results import collect_results
from xmtf.report.tables import TEXT, Table, result_tables, run_tables, write_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

__all__ = ["MODEL_CARD", "build_report", "figures_of", "summary_lines", "tables_of"]

MODEL_CARD = "model-card.md"
"""The card as the report keeps it; a run copies it beside the model."""


def build_report(run_folder: Path, out: Path, config: Report) -> Manifest:
    """Write ``index.html``, ``tables/``, ``figures/`` and the model card of a run; nothing where they are up to date.

    Raises:
        SourceError: ``run_folder`` is not a run folder.
    """
    watch = Stopwatch()
    recipe = config.model_dump(mode="json")
    inputs = _inputs(run_folder)
    fingerprint = content_hash({"recipe": recipe, "inputs": inputs})
    if is_finished(out, fingerprint):
        return read_manifest(out)
    run = collect_run(run_folder)
    with atomic_folder(out) as folder:
        _write(run, folder, config)
        outputs = {str(path.relative_to(folder)): file_sha256(path) for path in sorted(folder.rglob("*.*"))}
        manifest = Manifest(
            "report", fingerprint, recipe=recipe, inputs=inputs, outputs=outputs, wall_time_s=watch.seconds
        )
        write_manifest(folder, manifest)
    return manifest


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
    own = _figures(run) if run is not None else {}
    figures = [
        Figure("", name, _RUN_TITLES[name], "", tuple(save_figure(figure, folder, name, tuple(formats))))
        for name, figure in own.items()
        if not only or name in only
    ]
    rest = [name for name in only if name not in own]
    if only and not rest:
        return Drawn(figures)
    inputs = replace(
        inputs, samples=[row | {"model": label} for label, rows in results.samples.items() for row in rows]
    )
    drawn = draw_figures(gather(results.scores, reference=inputs.reference), inputs, folder, rest, formats)
    return replace(drawn, figures=[*figures, *drawn.figures])


_RUN_TITLES = {
    "composition": "What the mixture is made of",
    "loss": "Loss",
    "suites": "Rank accuracy by suite",
    "languages": "Rank accuracy by language",
}


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


def _inputs(run_folder: Path) -> dict[str, str]:
    """Return the fingerprints of all that the report shows."""
    stages = ("mixture", "model", *(f"results/{label}" for label in LABELS))
    found = {
        stage: read_manifest(run_folder / stage).fingerprint
        for stage in stages
        if (run_folder / stage / MANIFEST).exists()
    }
    recipe = run_folder / "recipe.yaml"
    return found | ({"recipe": file_sha256(recipe)} if recipe.exists() else {})


def _write(run: Run, folder: Path, config: Report) -> None:
    tables = run_tables(run)
    write_tables(tables, folder / "tables")
    formats = tuple(dict.fromkeys(("svg", *config.figures)))
    plots = {}
    for name, figure in _figures(run).items():
        plots[name] = save_figure(figure, folder / "figures", name, formats)[0]
    title = config.title or run.name
    write_text(folder / "index.html", render_page(run, title, tables, plots))
    write_text(folder / MODEL_CARD, model_card(run))


def _figures(run: Run) -> dict[str, Drawing]:
    """Draw every figure that the run has data for."""
    figures = {}
    if run.composition.num_rows:
        figures["composition"] = composition.draw(run)
    if any(event["event"] == "train" for event in run.log):
        figures["loss"] = loss.draw(run)
    ranked = [result for result in compare(run.results) if result.metric == "accuracy"]
    if ranked:
        figures["suites"] = suites.draw(ranked, "Rank accuracy")
        by_language = [
            result
            for result in compare(run.results, lambda score: f"{score['suite']}: {score['language']}")
            if result.metric == "accuracy"
        ]
        if len(by_language) > len(ranked):
            figures["languages"] = suites.draw(by_language, "Rank accuracy by language", by_group=True)
    return figures
