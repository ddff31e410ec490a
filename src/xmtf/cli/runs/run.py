"""``xmtf run``: a whole recipe with one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.cli.terminal.options import Overrides, PrintJson, RecipePath, Replace
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.recipe import LoadedRecipe, load_recipe
from xmtf.run_folder import PAGE, RunFolder
from xmtf.runs.copying import copies_to
from xmtf.runs.pipeline import STAGES, RunOutcome, run_recipe

if TYPE_CHECKING:
    from xmtf.runs.sweep import Swept

__all__ = ["outcome_json", "run"]


def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    replace: Replace = False,
    until: Annotated[
        str | None, typer.Option(metavar="|".join(STAGES), help="Stop after this stage, such as tokens.")
    ] = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Print how long the run takes here, by a measured sample, and stop.")
    ] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,...",
            help="Run the recipe once per value, such as training.optimizer.learning_rate=1e-5,2e-5; repeated: all "
            "combinations.",
        ),
    ] = None,
    copy_to: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Copy each finished stage there, such as s3://bucket/runs/demo."),
    ] = None,
    as_json: PrintJson = False,
) -> None:
    """Run a recipe: mixture, tokens, training, evaluation before and after, report.

    Finished stages are skipped; an interrupted run resumes where it stopped.

    Example: xmtf run recipes/demo.yaml training.steps=200
    Example: xmtf run demo --sweep training.optimizer.learning_rate=1e-3,3e-3 --sweep seed=1,2
    """
    if copy_to is not None and (sweep or estimate):
        raise ConfigError("xmtf run: --copy-to copies the stages of one run; leave out --sweep and --estimate")
    if sweep:
        _sweep(recipe, overrides or [], sweep, until, replace=replace, estimate=estimate, as_json=as_json)
        return
    loaded = load_recipe(recipe, overrides or [])
    if estimate:
        _print_estimate(loaded, as_json=as_json)
        return
    keep = (lambda stage: None) if copy_to is None else copies_to(loaded.run, copy_to, replace=replace)
    outcome = run_recipe(loaded, until=until, replace=replace, keep=keep)
    if as_json:
        print_json(outcome_json(outcome))
        return
    for line in outcome.summary:
        print_text(line)


def outcome_json(outcome: RunOutcome) -> JsonObject:
    """Return what a run came to as JSON: its places, and what was measured."""
    from xmtf.report.records import result_records

    run = RunFolder(outcome.folder)
    return {
        "run_folder": str(outcome.folder),
        "finished": outcome.finished,
        "model": str(run.model) if "train" in outcome.finished else None,
        "report": str(run.report / PAGE) if "report" in outcome.finished else None,
        "results": result_records([outcome.folder]) if "report" in outcome.finished else [],
    }


def _sweep(
    recipe: Path,
    overrides: list[str],
    sweeps: list[str],
    until: str | None,
    *,
    replace: bool,
    estimate: bool,
    as_json: bool,
) -> None:
    """Run a recipe with other values of some keys, and print what was measured in all runs."""
    if estimate:
        raise ConfigError("--estimate: is for one run; leave out --sweep")
    from xmtf.runs.sweep import plan_sweep, run_sweep

    swept = run_sweep(plan_sweep(recipe, overrides, sweeps), until=until, replace=replace)
    _print_swept(swept, as_json=as_json)
    if swept.failures:
        raise typer.Exit(1)


def _print_swept(swept: Swept, *, as_json: bool) -> None:
    from xmtf.report.records import result_records
    from xmtf.report.tables_and_figures import summary_lines

    folder, points = swept.sweep.folder, swept.sweep.points
    if as_json:
        reported = [folder / label for label, each in swept.outcomes.items() if "report" in each.finished]
        runs = [
            {
                "label": point.label,
                "values": point.values,
                "run_folder": str(folder / point.label),
                "finished": swept.outcomes[point.label].finished if point.label in swept.outcomes else (),
                "failure": swept.failures.get(point.label),
            }
            for point in points
        ]
        page = None if swept.page is None else str(swept.page)
        print_json({"folder": str(folder), "report": page, "runs": runs, "results": result_records(reported)})
    else:
        for line in () if swept.page is None else summary_lines(swept.page.parent):
            print_text(line)
        for point in points:
            print_text(f"{folder / point.label}: {swept.failures.get(point.label, 'finished')}")
        if swept.page is not None:
            print_text(f"report: {swept.page}")


def _print_estimate(loaded: LoadedRecipe, *, as_json: bool) -> None:
    from xmtf.extras import require_extra

    require_extra()
    from xmtf.runs.timing import estimate_run, lines

    stages = estimate_run(loaded)
    if as_json:
        for stage in stages:
            print_json(stage.to_json())
        return
    for line in lines(stages):
        print_text(line)
