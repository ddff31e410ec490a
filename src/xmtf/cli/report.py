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
    run: RunFolder,
    form: Annotated[TableFormat, typer.Option("--format", help="Form of the table.")] = TableFormat.md,
    name: Annotated[str, typer.Option(help="Which table; `all` prints every one.")] = "results",
) -> None:
    """Print a table of a run.

    Example: xmtf report tables runs/demo --format tex
    """
    from xmtf.errors import UnknownNameError
    from xmtf.report import collect_run
    from xmtf.report.tables import render_table, run_tables

    known = {table.name: table for table in run_tables(collect_run(run))}
    if name != "all" and name not in known:
        raise UnknownNameError("table", name, ["all", *known], str(run))
    for table in known.values() if name == "all" else [known[name]]:
        typer.echo(render_table(table, form.value))


@app.command()
def figures(run: RunFolder, out: Out = None) -> None:
    """Write the figures of a run as SVG, PNG and PDF; print their paths.

    Example: xmtf report figures runs/demo --out figures
    """
    from xmtf.report.build import write_figures

    for path in write_figures(run, out or run / "report" / "figures"):
        typer.echo(path)
