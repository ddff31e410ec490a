"""``xmtf report``: tables, figures and the page of a run."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Tables, figures and the page of a run.")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/demo.")]
Out = Annotated[Path | None, typer.Option("--out", help="Where to write; default the run's own report folder.")]
ResultPaths = Annotated[list[Path] | None, typer.Argument(help="Run folders, or folders of results.")]
Reference = Annotated[bool, typer.Option("--reference", help="With the published numbers of BLOOM, BLOOMZ, mT0, ...")]
GivenInputs = Annotated[
    list[str] | None, typer.Option("--input", help="NAME=FILE, such as samples=results/samples.jsonl; repeat it.")
]


class TableFormat(StrEnum):
    """Forms that a table can be printed in."""

    md = "md"
    csv = "csv"
    tex = "tex"


@app.command()
def build(run: RunFolder, out: Out = None, title: Annotated[str | None, typer.Option(help="Heading.")] = None) -> None:
    """Write index.html, tables and figures of a run.

    Example: xmtf report build runs/demo
    """
    from xmtf.recipe.schema import Report
    from xmtf.report import build_report

    target = out or run / "report"
    build_report(run, target, Report(title=title))
    typer.echo(target / "index.html")


@app.command()
def tables(
    results: ResultPaths = None,
    reference: Reference = False,
    given: GivenInputs = None,
    form: Annotated[
        TableFormat | None, typer.Option("--format", help="Form; default md on the terminal, all three with --out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Which table; `all` for every one.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write files into this folder.")] = None,
) -> None:
    """Print or write tables of results: a run's own, and the published ones beside them.

    Without --name: the first table is printed, or with --out every one is written.

    Example: xmtf report tables runs/demo --format tex
    Example: xmtf report tables results/mine --reference --out tables
    """
    from xmtf.errors import UnknownNameError
    from xmtf.report.build import tables_of
    from xmtf.report.inputs import parse_inputs
    from xmtf.report.tables import render_table, write_tables

    inputs = parse_inputs(given or [], reference=reference)
    known = {table.name: table for table in tables_of(results or [], inputs)}
    name = name or ("all" if out is not None else next(iter(known)))
    if name != "all" and name not in known:
        raise UnknownNameError("table", name, ["all", *known], "--name")
    chosen = list(known.values()) if name == "all" else [known[name]]
    if out is None:
        for table in chosen:
            typer.echo(render_table(table, (form or TableFormat.md).value))
        return
    for path in write_tables(chosen, out, (form.value,) if form else ("csv", "md", "tex")):
        typer.echo(path)


@app.command()
def figures(run: RunFolder, out: Out = None) -> None:
    """Write the figures of a run as SVG, PNG and PDF; print their paths.

    Example: xmtf report figures runs/demo --out figures
    """
    from xmtf.report.build import write_figures

    for path in write_figures(run, out or run / "report" / "figures"):
        typer.echo(path)
