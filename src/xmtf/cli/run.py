"""``xmtf run``: a whole recipe with one command."""

from __future__ import annotations

from typing import Annotated

import typer

from xmtf.cli.terminal.options import Overrides, RecipePath, Replace
from xmtf.cli.terminal.printing import print_text
from xmtf.recipe import load_recipe
from xmtf.runs.pipeline import STAGES, run_recipe

__all__ = ["run"]


def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    replace: Replace = False,
    until: Annotated[
        str | None, typer.Option(metavar="|".join(STAGES), help="Stop after this stage, such as tokens.")
    ] = None,
) -> None:
    """Run a recipe: mixture, tokens, training, evaluation before and after, report.

    Finished stages are skipped; an interrupted run resumes where it stopped.

    Example: xmtf run recipes/demo.yaml training.steps=200
    """
    outcome = run_recipe(load_recipe(recipe, overrides or []), until=until, replace=replace)
    for line in outcome.summary:
        print_text(line)
