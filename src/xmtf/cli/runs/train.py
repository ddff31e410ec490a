"""``xmtf train``: finetune a model on packed tokens."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from xmtf.artefacts.manifest_parts import TrainCounts
from xmtf.cli.terminal.options import Overrides, PrintJson, Replace, needs_models
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError, UserError
from xmtf.files import MANIFEST, Manifest, read_manifest
from xmtf.recipe import LoadedRecipe, load_recipe
from xmtf.runs.training import train_recipe
from xmtf.tasks import lacking_suites

__all__ = ["train"]


@needs_models
def train(
    recipe: Annotated[
        Path | None, typer.Argument(help="Recipe file, such as recipes/demo.yaml; omit with --model and --data.")
    ] = None,
    overrides: Overrides = None,
    model: Annotated[
        str | None, typer.Option(help="Without a recipe: folder, GGUF file, package:NAME or hub id to start from.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Without a recipe: file of rows, messages or inputs and targets.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Language of the answers in --data; default: detected.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the first example, its row, the layout and the memory, and exit.")
    ] = False,
    replace: Replace = False,
    tokens: Annotated[Path | None, typer.Option(help="Token files; default: those of the run folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default: the recipe's, or runs/<name>.")] = None,
    as_json: PrintJson = False,
) -> None:
    """Finetune a recipe's model on its token files; resumes from the last checkpoint.

    Without a recipe, --model and --data write one, list what it will produce, and train adapters (all weights with
    model.lora=null).

    Example: xmtf train recipes/demo.yaml training.steps=200
    Example: xmtf train --model HuggingFaceTB/SmolLM2-135M-Instruct --data rows.jsonl training.steps=50
    """
    folder = [] if out is None else [f"run_folder={out}"]
    if model is not None or data is not None:
        given = [] if recipe is None else [str(recipe)]
        _train_on_file(model, data, [*given, *(overrides or []), *folder], language, tokens, dry_run, replace, as_json)
        return
    if recipe is None or language is not None:
        raise ConfigError("xmtf train: give a recipe, or --model M and --data FILE (optionally with --language LANG)")
    loaded = load_recipe(recipe, [*(overrides or []), *folder])
    tokens = tokens or loaded.run.tokens
    if dry_run:
        preview, skipped = _preview(loaded, tokens), lacking_suites(loaded)
        if as_json:
            print_json({"preview": preview, "skipped_suites": skipped})
            return
        print_text(preview)
        for suite, why in skipped.items():
            print_text(f"evaluation suite {suite!r} is skipped: {why}")
        return
    first = os.environ.get("RANK", "0") == "0"
    manifest = train_recipe(loaded, tokens, first=first, replace=replace)
    if not first:  # one process of torchrun speaks for all
        return
    _print_trained(manifest, loaded.run.model, as_json)


def _print_trained(manifest: Manifest, model: Path, as_json: bool) -> None:
    counts = TrainCounts.of(manifest, model)
    if as_json:
        print_json({"model": str(model), "steps": counts.step, "tokens": counts.tokens, "seconds": counts.seconds})
        return
    print_text(f"{model}: {counts.step:,} steps, {counts.tokens:,} tokens, {counts.seconds:,.0f} s")


def _preview(loaded: LoadedRecipe, tokens: Path) -> str:
    """Return what training would do; without token files on those of a few rows."""
    from xmtf.runs.sampling import sampled_tokens
    from xmtf.training import dry_run, family_without_network

    if (tokens / MANIFEST).exists():
        return dry_run(loaded, tokens=tokens)
    with ExitStack() as stack:
        sample, why = None, "their data is not on this machine"
        try:
            sample = stack.enter_context(sampled_tokens(loaded, family_without_network(loaded.recipe)))
        except UserError as error:  # the layout and the memory can be had all the same
            why = str(error)
        return dry_run(loaded, tokens=sample, sampled=True, lacking=why)


def _train_on_file(
    model: str | None,
    data: Path | None,
    overrides: list[str],
    language: str | None,
    tokens: Path | None,
    dry_run: bool,
    replace: bool,
    as_json: bool,
) -> None:
    """Write a recipe for a model and a file, and run it up to the trained model."""
    from xmtf.runs.drafting import draft_recipe
    from xmtf.runs.pipeline import run_recipe

    if model is None or data is None:
        raise ConfigError("xmtf train: --model and --data go together, without a recipe")
    if wrong := next((text for text in overrides if "=" not in text), None):
        raise ConfigError(f"xmtf train: {wrong}: give either a recipe, or --model with --data")
    if tokens is not None or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "xmtf train --model --data makes its token files in one process; for --tokens and torchrun use the recipe "
            "that it writes"
        )
    draft = draft_recipe(model, data, overrides, language=language)
    for line in draft.lines:
        print_text(line, err=as_json)
    if dry_run and as_json:
        print_json({"recipes": {str(path): text for path, text in draft.files.items()}})
        return
    if dry_run:
        for path, text in draft.files.items():
            print_text(f"\n# {path}\n{text}", end=False)
        return
    draft.write()
    run_recipe(draft.loaded, until="train", replace=replace)
    _print_trained(read_manifest(draft.loaded.run.model), draft.loaded.run.model, as_json)
