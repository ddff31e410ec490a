"""``xmtf train``: finetune a model on packed tokens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from xmtf.artefacts.manifest_parts import TrainCounts
from xmtf.artefacts.ownership import check_run_folder
from xmtf.cli.options import Overrides, RecipePath, Replace, needs_models
from xmtf.cli.printing import print_text
from xmtf.files import MANIFEST
from xmtf.recipe import load_recipe
from xmtf.runs.measures import suite_measures
from xmtf.runs.replacing import prepare
from xmtf.tasks import lacking_suites

__all__ = ["train"]


@needs_models
def train(
    recipe: RecipePath,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first example, its row, the layout and the memory, and stop.")
    ] = False,
    replace: Replace = False,
    tokens: Annotated[Path | None, typer.Option(help="Token files; default those of the run folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default the recipe's, or runs/<name>.")] = None,
) -> None:
    """Finetune the model of a recipe on its token files; goes on from the last checkpoint by itself.

    Example: xmtf train recipes/demo.yaml training.steps=200
    """
    from xmtf.training import dry_run as preview
    from xmtf.training import train_in_folder

    folder = [] if out is None else [f"run_folder={out}"]
    loaded = load_recipe(recipe, [*(overrides or []), *folder])
    tokens = tokens or loaded.run.tokens
    if dry_run:
        print_text(preview(loaded, tokens=tokens))
        for suite, why in lacking_suites(loaded).items():
            print_text(f"evaluation suite {suite!r} is skipped: {why}")
        return
    if os.environ.get("RANK", "0") == "0" and (tokens / MANIFEST).exists():
        check_run_folder(loaded.run_folder)
        prepare(loaded, replace=replace, tokens=tokens)
    manifest = train_in_folder(loaded, tokens=tokens, measures=suite_measures(loaded, tokens))
    if os.environ.get("RANK", "0") != "0":  # one process of torchrun speaks for all
        return
    counts = TrainCounts.of(manifest, loaded.run.model)
    print_text(f"{loaded.run.model}: {counts.step:,} steps, {counts.tokens:,} tokens, {counts.seconds:,.0f} s")
