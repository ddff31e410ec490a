"""``xmtf report``: tables, figures, the page and the card of runs and results."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.artefacts.ownership import new_file
from xmtf.artefacts.written_files import WrittenFiles
from xmtf.cli.terminal.options import Overwrite, PrintJson
from xmtf.cli.terminal.printing import print_files, print_json, print_text
from xmtf.errors import SourceError, UnknownNameError
from xmtf.recipe.schema import Report
from xmtf.remote.storage import is_remote
from xmtf.run_folder import PAGE, RunFolder

if TYPE_CHECKING:
    from xmtf.report.figures.catalogue import Drawn
    from xmtf.report.inputs import Inputs
    from xmtf.report.tables import Table

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Build tables, figures, pages and cards of runs and results.")

Out = Annotated[Path | None, typer.Option("--out", help="Output folder; default: the run's report folder.")]
ResultPaths = Annotated[
    list[str] | None, typer.Argument(help="Run folders, folders of results, or addresses (s3://bucket/demo/results).")
]
Reference = Annotated[
    bool, typer.Option("--reference", help="Include the published numbers of BLOOM, BLOOMZ, mT0, ...")
]
GivenInputs = Annotated[
    list[str] | None,
    typer.Option("--input", help="Additional data, such as samples=results/samples.jsonl; may be repeated."),
]
Overlap = Annotated[
    Path | None,
    typer.Option(
        help="Folder of `xmtf analyze contamination --out`: adds scores on clean and on seen items; default: the run's."
    ),
]


class TableFormat(StrEnum):
    """Forms that a table can be printed in."""

    md = "md"
    csv = "csv"
    tex = "tex"


@app.command()
def build(
    results: ResultPaths = None,
    reference: Reference = False,
    given: GivenInputs = None,
    overlap: Overlap = None,
    out: Out = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    items: Annotated[int, typer.Option(min=0, help="Items to show per dataset.")] = 1000,
    as_json: PrintJson = False,
) -> None:
    """Write a report page: summary, tables, figures and items.

    Example: xmtf report build runs/demo
    Example: xmtf report build results/bloomz-560m results/mt0-small --reference --out report
    """
    from xmtf.report import build_report
    from xmtf.report.write import report_folder

    target = report_folder(results or [], out)
    build_report(_local(results or []), target, Report(title=title, items=items), _inputs(given, reference, overlap))
    print_files([target / PAGE], as_json=as_json)


@app.command()
def tables(
    results: ResultPaths = None,
    reference: Reference = False,
    given: GivenInputs = None,
    overlap: Overlap = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help="Format; default: md on the terminal, all three with --out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the table; `all` for all tables.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder to write files to.")] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Print or write tables of results.

    With --reference, the published results are shown alongside.

    Without --name, the first table is printed, or with --out all tables are written.

    Example: xmtf report tables runs/demo --format tex
    Example: xmtf report tables results/mine --reference --out tables
    """
    from xmtf.report.tables import render_table, write_tables
    from xmtf.report.tables_and_figures import tables_of

    files = None if out is None else WrittenFiles(out, "tables", replace)
    if files is not None:
        files.check()
    known = {table.name: table for table in tables_of(_local(results or []), _inputs(given, reference, overlap))}
    name = name or ("all" if files is not None else next(iter(known)))
    if name != "all" and name not in known:
        raise UnknownNameError("table", name, ["all", *known], "--name")
    chosen = list(known.values()) if name == "all" else [known[name]]
    if files is None:
        for table in chosen:
            if as_json:
                print_json(_as_json(table))
                continue
            print_text(render_table(table, (form or TableFormat.md).value))
        return
    with files.writing() as folder:
        written = write_tables(chosen, folder, (form.value,) if form else ("csv", "md", "tex"))
    print_files([files.folder / path.name for path in written], as_json=as_json)


@app.command()
def figures(
    results: ResultPaths = None,
    reference: Reference = False,
    given: GivenInputs = None,
    only: Annotated[str | None, typer.Option(help="Figures by number or name, such as 4,6,task-bars.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="svg,png,pdf", help="File formats, separated by commas.")
    ] = "svg,png,pdf",
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder; default: figures/ of the run or of the current folder.")
    ] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Draw figures of results; print the files written.

    With --reference, the published figures too. Figures without data are skipped, with a message on stderr.

    Example: xmtf report figures runs/demo --out figures
    Example: xmtf report figures results/mine --reference --only 4,5,9 --out figures
    """
    from xmtf.report.tables_and_figures import figures_of

    formats = [name.strip() for name in form.split(",")]
    for name in formats:
        if name not in ("svg", "png", "pdf"):
            raise UnknownNameError("format", name, ["svg", "png", "pdf"], "--format")
    named = results or []
    alone = Path(named[0]) if len(named) == 1 and not is_remote(named[0]) else Path()
    files = WrittenFiles(out or RunFolder(alone).figures, "figures", replace)
    files.check()
    paths = _local(named)
    chosen = [name.strip() for name in only.split(",")] if only else []
    with files.writing() as folder:
        drawn = figures_of(paths, _inputs(given, reference), folder, chosen, formats)
        if not drawn.figures:
            _say_left_out(drawn, every=bool(chosen or reference))
            raise SourceError("nothing to draw; give a run or results folder, or --reference for the published numbers")
    _say_left_out(drawn, every=bool(chosen or reference))
    written = [files.folder / path.name for figure in drawn.figures for path in figure.paths]
    print_files(written, as_json=as_json)


def _local(named: list[str]) -> list[Path]:
    """Return folders as they are, and for each address the copies of its results."""
    from xmtf.report.comparison.results import local_sources

    return local_sources(named)


def _say_left_out(drawn: Drawn, *, every: bool) -> None:
    for line in drawn.missing_fonts:
        print_text(line, err=True)
    if every:
        for line in drawn.left_out:
            print_text(line, err=True)
    elif drawn.left_out:
        count = len(drawn.left_out)
        print_text(f"{count} figures of the publication need other data; --only NAME prints which", err=True)


@app.command()
def card(
    source: Annotated[Path, typer.Argument(help="Run folder or results folder.")],
    checkpoint: Annotated[
        str, typer.Option(help="Model that the card's code loads: hub id or folder.")
    ] = "path/to/model",
    model: Annotated[str | None, typer.Option(help="Model of the results, if there are several.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write, such as README.md.")] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Print or write a model card with the hub's model-index.

    Next to --out, `.eval_results/xmtf.yaml` is written: the same results in the hub's format.

    Example: xmtf report card runs/demo --checkpoint me/demo --out README.md
    """
    from xmtf.report.cards import card_of, write_card_of
    from xmtf.run_folder import HUB_RESULTS

    if out is None:
        text = card_of(source, checkpoint=checkpoint, model=model)
        print_json({"card": text}) if as_json else print_text(text, end=False)
        return
    new_file(out, replace=replace)
    new_file(out.parent / HUB_RESULTS, replace=replace)
    write_card_of(source, out, checkpoint=checkpoint, model=model)
    print_files([out], as_json=as_json)


def _as_json(table: Table) -> dict[str, object]:
    return {
        "name": table.name,
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows,
        "notes": table.notes,
    }


@app.command()
def account(
    runs: Annotated[list[Path], typer.Argument(help="Run folder; then runs of the same recipe under other seeds.")],
    out: Annotated[Path, typer.Option("--out", help="Markdown file; figures go into a folder of its name.")],
    note: Annotated[
        list[str] | None, typer.Option(metavar="LINE", help="What no file holds, such as the machine; may be repeated.")
    ] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Write Markdown: what improved on each axis, and what did not.

    Example: xmtf report account runs/proof runs/proof-2 --out proof.md --note "Two cores of a laptop"
    """
    from xmtf.report.account import write_account

    new_file(out, replace=replace)
    print_files(write_account(runs, out, note or []), as_json=as_json)


def _inputs(given: list[str] | None, reference: bool, overlap: Overlap = None) -> Inputs:
    from xmtf.report.inputs import parse_inputs

    return parse_inputs(given or [], reference=reference, overlap=overlap)
