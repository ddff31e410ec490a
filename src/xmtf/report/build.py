"""Build the report of runs and results: tables, figures, the page and, for a run, its model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from xmtf.artefacts.checksums import damages
from xmtf.artefacts.event_log import read_events
from xmtf.artefacts.manifest_parts import ReportDetails
from xmtf.artefacts.ownership import check_ours, refuse_foreign
from xmtf.errors import SourceError
from xmtf.execution import say, warn
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
from xmtf.recipe.effects import marked, stage_fingerprint
from xmtf.recipe.schema import Report
from xmtf.report.cards import model_card
from xmtf.report.collect import Material, Run, collect
from xmtf.report.comparison.compare import compared
from xmtf.report.comparison.results import results_folders
from xmtf.report.figures.catalogue import FIGURES, Drawn
from xmtf.report.figures.drawing.style import save_figure
from xmtf.report.figures.own import CAPTIONS, result_figures, run_figures
from xmtf.report.inputs import Inputs
from xmtf.report.items import item_sets, script_text
from xmtf.report.page import Content, Demonstration, Plot, RunPart, render_page
from xmtf.report.published import gather, published_tables
from xmtf.report.reference.demonstration import NOTE, demonstration_run, demonstration_texts
from xmtf.report.tables import GROUPS, composition_tables, result_tables, write_tables
from xmtf.report.tables_and_figures import demonstrates, published_figures
from xmtf.results.files import COMPLETIONS, SAMPLES, SCORES
from xmtf.results.overlap import OVERLAP
from xmtf.run_folder import PAGE, RunFolder, figures_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from xmtf.guards.unfinished import sweep_beside

__all__ = ["MODEL_CARD", "build_report"]

MODEL_CARD = "model-card.md"
"""The card as the report keeps it; a run copies it alongside the model."""
_PUBLISHED = "The published numbers of BLOOM, BLOOMZ, mT0 and the models compared with them, without your own results."
_INLINE_BYTES = 2_000_000
"""Smaller item sets are in the page itself, so that it can be sent around as one file."""


def build_report(sources: Sequence[Path], out: Path, config: Report, inputs: Inputs | None = None) -> Manifest:
    """Write ``index.html``, ``tables/``, ``figures/`` and, for one run, its model card; nothing where up to date.

    Figures for which a font is missing are left out; a line on stderr names the font, and the next call tries again.

    Args:
        sources: Run folders and results folders.
        out: Folder of the report; one that is there is replaced.
        config: Title, forms of figures, number of items.
        inputs: Whether published numbers are next to, and analyses for the published tables and figures.

    Raises:
        SourceError: A source is neither a run folder nor a results folder.
        ConfigError: ``out`` holds something other than a report, or something else alongside one.
    """
    watch = Stopwatch()
    check_ours(out, "a report", ("report",))
    recipe = marked(config, "report")
    inputs = inputs or Inputs()
    if not sources and not inputs.reference:
        raise SourceError("no results to show: give a run or results folder, or --reference for the published numbers")
    found = {key: value for source in sources for key, value in _inputs(source).items()}
    found |= {str(path): file_sha256(path) for path in inputs.files.values() if path.is_file()}
    found |= _overlaps(sources, inputs)
    fingerprint = stage_fingerprint("report", recipe | {"reference": inputs.reference}, found)
    sweep_beside(out)
    if is_finished(out, fingerprint) and not ReportDetails.of(finished := read_manifest(out), out).missing_fonts:
        wrong = next(damages(out, finished), None)
        if wrong is None:
            return finished
        say(f"{wrong}: the report is rewritten")
    refuse_foreign(out, _drawn_by_itself)
    material = collect(sources, inputs.overlap)
    with atomic_folder(out, alone=True) as folder:
        missing_fonts = _write(material, inputs, folder, config)
        files = [path for path in sorted(folder.rglob("*.*")) if path.is_file()]
        outputs = {str(path.relative_to(folder)): file_sha256(path) for path in files}
        manifest = Manifest(
            "report", fingerprint, recipe=recipe, inputs=found, outputs=outputs, wall_time_s=watch.seconds,
            details=ReportDetails(tuple(missing_fonts)).to_json(),
        )  # fmt: skip
        write_manifest(folder, manifest)
    for line in missing_fonts:
        warn(line)
    return manifest


def _drawn_by_itself(name: str) -> bool:
    """Return whether `xmtf report figures` of an earlier version drew a file in a report."""
    path = Path(name)
    return path.parent == figures_of(path.parent.parent) and path.stem in {
        *CAPTIONS,
        *(figure.name for figure in FIGURES),
    }


def _inputs(source: Path) -> dict[str, str]:
    """Return the fingerprints of all that the report shows of a source."""
    found = {}
    run = RunFolder(source)
    files = [run.recipe]
    for folder in (run.mixture, run.model, *results_folders(source)):
        if (folder / MANIFEST).exists():
            found[str(folder)] = read_manifest(folder).fingerprint
        else:
            files += [folder / name for name in (SCORES, SAMPLES, COMPLETIONS)]
    found |= {str(path): file_sha256(path) for path in files if path.exists()}
    log = run.log
    return found | ({str(log): _log_hash(log)} if log.exists() else {})


def _overlaps(sources: Sequence[Path], inputs: Inputs) -> dict[str, str]:
    folders = [RunFolder(source).overlap for source in sources] if inputs.overlap is None else [inputs.overlap]
    files = [folder / OVERLAP if folder.is_dir() else folder for folder in folders]
    return {str(path): file_sha256(path) for path in files if path.is_file()}


def _log_hash(path: Path) -> str:
    """Hash the events of a log but how long stages took, which every call adds to."""
    return content_hash([event for event in read_events(path) if event.get("event") != "stage"])


def _write(material: Material, inputs: Inputs, folder: Path, config: Report) -> list[str]:
    """Write the report's files; return which fonts are missing for which figures."""
    formats = tuple(dict.fromkeys(("svg", *config.figures)))
    items = item_sets(material.results, config.items)
    drawn = published_figures(material, inputs, figures_of(folder), (), formats)
    content = _content(material, inputs, folder, config.title, formats, drawn)
    scripts = {entry.file_name: script_text(entry.dataset, entry.payload) for entry in items}
    inline = sum(map(len, scripts.values())) <= _INLINE_BYTES
    if not inline:
        for name, text in scripts.items():
            write_text(folder / "items" / name, text)
    write_text(folder / PAGE, render_page(replace(content, items=items, inline_items=inline)))
    if len(material.runs) == 1:
        write_text(folder / MODEL_CARD, model_card(material.runs[0]))
    return drawn.missing_fonts


def _content(
    material: Material, inputs: Inputs, folder: Path, title: str | None, formats: tuple[str, ...], drawn: Drawn
) -> Content:
    """Write tables and figures; return what the page shows but the items."""
    results = material.results
    run = material.runs[0] if len(material.runs) == 1 else None
    default = run.name if run is not None else ", ".join(results.scores) or "Published results"
    groups = {name: (column, compared(results, column)) for name, column in GROUPS.items()}
    tables = result_tables(results)
    published = published_tables(gather(results.scores, reference=inputs.reference), inputs)
    write_tables([*tables, *published], folder / "tables")
    alone = demonstrates(material, inputs)
    return Content(
        title=title or default,
        description=run.recipe.get("description", "") if run is not None else _PUBLISHED if alone else "",
        results=results,
        comparisons=groups["results"][1],
        tables=tables,
        groups=groups,
        plots=_save(result_figures(results), figures_of(folder), formats),
        runs=[_run_part(part, folder, formats, _own_name(part, material.runs)) for part in material.runs],
        published=published,
        published_plots=_published_plots(drawn, noted=False, samples=not any(results.samples.values())),
        demonstration=_demonstration(folder, formats, drawn) if alone else None,
    )


def _own_name(run: Run, runs: Sequence[Run]) -> str:
    """Return what tells a run from the others: nothing of a lone one, its name, else its folder's."""
    if len(runs) == 1:
        return ""
    return run.name if [each.name for each in runs].count(run.name) == 1 else run.folder.name


def _demonstration(folder: Path, formats: Sequence[str], drawn: Drawn) -> Demonstration:
    """Write the figures of our demonstration's run; its texts are on the page as text."""
    own = _save(run_figures(demonstration_run(), NOTE), figures_of(folder), formats)
    plots = [*_published_plots(drawn, noted=True, samples=False), *own]
    return Demonstration(NOTE, plots, demonstration_texts()["samples"])


def _published_plots(drawn: Drawn, *, noted: bool, samples: bool = True) -> list[Plot]:
    """Return figures with or without a note; ``samples`` only where the page does not show them as text."""
    return [
        Plot.read(figure.paths[0], f"{figure.title}. {figure.caption}")
        for figure in drawn.figures
        if bool(figure.note) == noted and (samples or figure.name != "samples")
    ]


def _run_part(run: Run, folder: Path, formats: Sequence[str], prefix: str) -> RunPart:
    """Write the tables and figures of a run's training; those of several runs go into their own folders."""
    tables = composition_tables(run)
    write_tables(tables, folder / "tables" / prefix)
    return RunPart(run, tables, _save(run_figures(run), figures_of(folder) / prefix, formats))


def _save(figures: dict[str, Figure], folder: Path, formats: Sequence[str]) -> list[Plot]:
    return [
        Plot.read(save_figure(figure, folder, name, tuple(formats))[0], CAPTIONS[name])
        for name, figure in figures.items()
    ]
