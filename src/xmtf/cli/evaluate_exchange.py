"""``xmtf evaluate harness|import|export``: lm-evaluation-harness on our engine, and others' results in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.options import AsJson, Overwrite, Replace
from xmtf.cli.printing import print_text
from xmtf.cli.score_lines import print_scores

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to ``xmtf evaluate``."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("harness", context_settings=passed_on)(harness)
    app.command("import")(import_)
    app.command("export")(export)


def harness(context: typer.Context) -> None:
    """Run lm-evaluation-harness on our engine.

    Every argument goes to its own command line; `--help` prints what it takes.

    Example: xmtf evaluate harness --tasks xcopa_et --model_args pretrained=runs/demo/model --output_path out
    """
    from xmtf.evaluation.harness import run_harness

    run_harness(context.args)


def import_(
    source: Annotated[Path, typer.Argument(help="Results of lm-eval, of BigScience's fork or of t-zero.")],
    out: Annotated[Path, typer.Option(help="Results folder to write.")],
    model: Annotated[str | None, typer.Option(help="What results call the model; default what the files say.")] = None,
    replace: Replace = False,
    layout: Annotated[str | None, typer.Option(help="lm-eval, bigscience or t-zero; default what is found.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read results of another harness.

    Reports, rescoring and comparisons then take them beside ours.

    Example: xmtf evaluate import results/lm-eval --out results/theirs
    """
    from xmtf.evaluation.interchange import import_results

    print_scores(import_results(source, out, model=model, layout=layout, overwrite=replace), as_json)


def export(
    results: Annotated[Path, typer.Argument(help="Results folder, such as runs/demo/results/after.")],
    out: Annotated[Path, typer.Option(help="Folder for <dataset>/<config>/<template>/results.json and merged.csv.")],
    replace: Overwrite = False,
) -> None:
    """Write results in t-zero's layout, as BLOOMZ's were.

    Example: xmtf evaluate export runs/demo/results/after --out t-zero/demo
    """
    from xmtf.evaluation.interchange import export_t_zero

    print_text(f"{export_t_zero(results, out, replace=replace)} results.json, merged.json and merged.csv in {out}")
