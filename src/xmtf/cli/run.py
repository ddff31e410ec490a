"""``xmtf run``: a whole recipe with one command."""

from __future__ import annotations

from typing import Annotated

import typer

from xmtf.cli.terminal.options import Overrides, PrintJson, RecipePath, Replace
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.json_types import JsonObject
from xmtf.recipe import LoadedRecipe, load_recipe
from xmtf.run_folder import PAGE, RunFolder
from xmtf.runs.pipeline import STAGES, RunOutcome, run_recipe

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
    as_json: PrintJson = False,
) -> None:
    """Run a recipe: mixture, tokens, training, evaluation before and after, report.

    Finished stages are skipped; an interrupted run resumes where it stopped.

    Example: xmtf run recipes/demo.yaml training.steps=200
    """
    loaded = load_recipe(recipe, overrides or [])
    if estimate:
        _print_estimate(loaded, as_json=as_json)
        return
    outcome = run_recipe(loaded, until=until, replace=replace)
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
