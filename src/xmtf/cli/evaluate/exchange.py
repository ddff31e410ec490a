"""``xmtf evaluate harness|import|export``: lm-evaluation-harness on our engine, and others' results in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmtf.cli.evaluate.score_lines import print_scores
from xmtf.cli.terminal.options import AsJson, Overwrite, PrintJson, Replace
from xmtf.cli.terminal.printing import print_files, print_json, print_text
from xmtf.errors import UnknownNameError

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Add the verbs to ``xmtf evaluate``."""
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command("harness", context_settings=passed_on)(harness)
    app.command("import")(import_)
    app.command("export")(export)


def harness(context: typer.Context) -> None:
    """Run lm-evaluation-harness on our engine.

    All arguments are passed to its command line; `--help` lists them.

    Example: xmtf evaluate harness --tasks xcopa_et --model_args pretrained=runs/demo/model --output_path out
    """
    from xmtf.evaluation.harness import run_harness

    run_harness(context.args)


def import_(
    source: Annotated[Path, typer.Argument(help="Results of lm-eval, lighteval, BigScience's fork or t-zero.")],
    out: Annotated[Path, typer.Option(help="Results folder to write.")],
    model: Annotated[
        str | None, typer.Option(help="Label of the model in the results; default: as in the files.")
    ] = None,
    replace: Replace = False,
    layout: Annotated[
        str | None,
        typer.Option(metavar="lm-eval|lighteval|bigscience|t-zero", help="Layout of the results; default: detected."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read results of another harness.

    Reports, rescoring and comparisons can then use them alongside ours.

    Example: xmtf evaluate import results/lm-eval --out results/theirs
    """
    from xmtf.evaluation.interchange import import_results

    print_scores(import_results(source, out, model=model, layout=layout, overwrite=replace), as_json)


def export(
    results: Annotated[Path, typer.Argument(help="Results folder, such as runs/demo/results/after.")],
    out: Annotated[Path, typer.Option(help="Folder for results.json and merged.csv, or for data/.")],
    layout: Annotated[str, typer.Option(metavar="t-zero|every-eval-ever", help="Layout to write.")] = "t-zero",
    organization: Annotated[
        str, typer.Option(help="every-eval-ever: name of the evaluating organization.")
    ] = "unknown",
    relationship: Annotated[
        str,
        typer.Option(
            metavar="first_party|third_party|collaborative|other",
            help="every-eval-ever: its relationship to the model's developer.",
        ),
    ] = "other",
    model_id: Annotated[str | None, typer.Option(help="every-eval-ever: DEVELOPER/NAME of the model.")] = None,
    replace: Overwrite = False,
    as_json: PrintJson = False,
) -> None:
    """Write results in the layout of t-zero, or of Every Eval Ever.

    Example: xmtf evaluate export runs/demo/results/after --out t-zero/demo
    Example: xmtf evaluate export results/xnli --layout every-eval-ever --organization "My lab" --out records
    """
    from xmtf.evaluation.interchange import Publisher, export_every_eval_ever, export_t_zero

    if layout not in ("t-zero", "every-eval-ever"):
        raise UnknownNameError("layout", layout, ("t-zero", "every-eval-ever"), "--layout")
    if layout == "every-eval-ever":
        publisher = Publisher(organization, relationship, model_id)
        print_files(export_every_eval_ever(results, out, publisher, replace=replace), as_json=as_json)
        return
    written = export_t_zero(results, out, replace=replace)
    if as_json:
        print_json({"folder": str(out), "results": written})
    else:
        print_text(f"{written} results.json, merged.json and merged.csv in {out}")
