"""``xmtf checkpoint``: what a run has saved, how to take a model out of it, and how to bring foreign ones in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xmtf.artefacts.ownership import check_run_folder, claim_run_folder
from xmtf.cli.publishing import print_published, published_json
from xmtf.cli.terminal.options import PrintJson, Replace, needs_models
from xmtf.cli.terminal.printing import print_json, print_records, print_text
from xmtf.errors import ConfigError, SourceError
from xmtf.execution import warn
from xmtf.files import alone_in, read_json, read_manifest
from xmtf.models.family import family_of_config
from xmtf.recipe import load_recipe
from xmtf.report import write_model_card
from xmtf.report.cards import write_foreign_card
from xmtf.runs.measures import suite_measures
from xmtf.upload import check_target, plan_upload

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List, inspect, export and convert checkpoints.")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/demo.")]
Dtype = Literal["fp32", "bf16", "fp16"]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
@needs_models
def list_all(run: RunFolder, as_json: AsJson = False) -> None:
    """Print the complete checkpoints of a run, oldest first.

    Example: xmtf checkpoint list runs/demo
    """
    from xmtf.training.export import run_checkpoints

    found = run_checkpoints(run)
    if as_json:
        entries = [{"path": str(path), **asdict(progress)} for path, progress in found.items()]
        print_json(entries, indented=True)
        return
    for path, progress in found.items():
        size = sum(item.stat().st_size for item in path.iterdir()) / 1e6
        print_text(f"{path}  step {progress.step:,}  {progress.tokens:,} tokens  {size:,.1f} MB")


Like = Annotated[
    str | None, typer.Option(help="Model folder or hub id that gives the shape and tokenizer if the files do not.")
]
Heads = Annotated[int | None, typer.Option(help="Number of attention heads, if it is not known otherwise.")]


@app.command()
@needs_models
def inspect(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder of a run or of another framework.")],
    check: Annotated[
        bool, typer.Option("--check", help="For a run's checkpoint: verify the checksums of all files.")
    ] = False,
    like: Like = None,
    heads: Heads = None,
    as_json: AsJson = False,
) -> None:
    """Print the contents of a checkpoint.

    For a run's checkpoint: its step and the shape of every tensor. For one of another framework: whether it is
    complete, its layout, and how far the copies of replicated parameters have drifted apart; the exit code is 1 if it
    is incomplete.

    Example: xmtf checkpoint inspect runs/demo/checkpoints/step-000700
    """
    from xmtf.models.convert import inspect_foreign
    from xmtf.training.checkpoint.checkpoint import inspect_checkpoint

    found = inspect_checkpoint(checkpoint, check=check)
    if found is None:
        report = inspect_foreign(str(checkpoint), like=like, num_heads=heads)
        if as_json:
            print_json(report.to_json(), indented=True)
        else:
            print_text(str(report))
        raise typer.Exit(0 if report.whole else 1)

    progress, shapes = asdict(found[0]), found[1]
    if as_json:
        print_json({"progress": progress, "tensors": shapes}, indented=True)
        return
    if progress["best_by"].startswith("loss"):
        progress["best"] = -progress["best"]  # scores are higher for better models
    for name, value in progress.items():
        print_text(f"{name:<12} {_number(value)}")
    for name, shape in shapes.items():
        print_text(f"{' x '.join(map(str, shape)) or 'scalar':>16}  {name}")


@app.command()
@needs_models
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    step: Annotated[int | None, typer.Option(help="Step of the checkpoint; default: the newest.")] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge adapters into the base model and write full weights.")
    ] = False,
    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="Data type of the weights; auto: the run's precision."),
    ] = "auto",
    foreign: Annotated[
        bool, typer.Option("--foreign", help="Export a checkpoint of another training; its card has no results.")
    ] = False,
    replace: Replace = False,
    push_to_hub: Annotated[str | None, typer.Option(metavar="ID", help="Publish it on the hub under this id.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be published.")] = False,
    as_json: PrintJson = False,
) -> None:
    """Write a checkpoint as a model folder of transformers.

    Includes a model card.

    Example: xmtf checkpoint export runs/demo --out exported
    Example: xmtf checkpoint export runs/demo --out exported --push-to-hub me/demo --dry-run
    """
    from xmtf.models.files.identity import model_identity
    from xmtf.training.export import export_checkpoint, is_the_model

    if push_to_hub is not None:
        check_target(push_to_hub, dry_run=dry_run)
    elif private or dry_run:
        raise ConfigError("--private and --dry-run need --push-to-hub ID")
    options: dict[str, Any] = {"merge": merge, "dtype": dtype, "foreign": foreign, "replace": replace}
    path = export_checkpoint(run, out, step=step, **options)
    if foreign:
        encoder_decoder = family_of_config(read_json(out / "config.json")) == "encoder-decoder"
        write_foreign_card(out, checkpoint=push_to_hub or str(out), encoder_decoder=encoder_decoder)
    else:
        weights = None if is_the_model(run, read_manifest(out)) else model_identity(str(out))
        write_model_card(run, out, checkpoint=push_to_hub or str(out), weights=weights)
    upload = None if push_to_hub is None else plan_upload(out, push_to_hub, "model", private=private)
    if as_json:
        published = None if upload is None else published_json(upload, dry_run=dry_run)
        print_json({"model": str(out), "checkpoint": str(path), "published": published})
        return
    print_text(f"{out}  from {path}")
    if upload is not None:
        print_published(upload, dry_run=dry_run, as_json=False)


@app.command()
@needs_models
def choose(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to export the best model to; default: none.")
    ] = None,
    examples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Maximum number of examples per task and template; default: training.validation_examples."
        ),
    ] = None,
    dtype: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"],
        typer.Option(help="Data type of the weights; auto: the run's precision."),
    ] = "auto",
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate a run's checkpoints on its suites; export the best.

    Chooses as validation with training.validation_suites does: by the highest geometric mean of the scores of rank and
    generation suites. Scores are kept in the run's log and not computed again.

    Example: xmtf checkpoint choose runs/bloomz --out best --dtype bf16
    """
    from xmtf.runs.choosing import check_model_replaced, export_chosen, score_checkpoints

    if out is not None:
        check_model_replaced(out, replace=replace)
    scored = score_checkpoints(run, examples=examples)
    best = max(scored, key=lambda each: each.score)
    if as_json:
        print_json([asdict(each) | {"best": each == best} for each in scored], indented=True)
    else:
        records = [{"step": each.step} | each.values | {"score": each.score} for each in scored]
        print_records(records)
        print_text(f"best: step {best.step}")
    if out is not None:
        weights = export_chosen(run, out, best, dtype=dtype, replace=replace)
        write_model_card(run, out, checkpoint=str(out), weights=weights)


@app.command()
@needs_models
def convert(
    source: Annotated[
        str, typer.Argument(help="Folder of a Megatron-DeepSpeed, universal or T5X checkpoint; or any model reference.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Overrides of --recipe, such as training.steps=500.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Model folder to write, in Hugging Face format.")] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(help="Recipe to resume training with: writes a checkpoint of its run, including moments."),
    ] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="Token files that it trains on; default: those of the run.")
    ] = None,
    step: Annotated[int, typer.Option(min=0, help="Step of the recipe's data at which training resumes.")] = 0,
    adam_steps: Annotated[
        int | None, typer.Option(min=1, help="Number of Adam updates so far, if the files do not give it.")
    ] = None,
    like: Like = None,
    heads: Heads = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Data type to convert weights to; default: as stored.")] = None,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Convert a checkpoint of another framework.

    Writes a model folder (--out), or a checkpoint that training resumes from (--recipe).

    Example: xmtf checkpoint convert global_step498 --like bigscience/bloom --out bloomz
    Example: xmtf checkpoint convert global_step498_universal --recipe recipes/train/bloomz-560m.yaml
    Example: xmtf checkpoint convert mt5_base/checkpoint_1000000 --recipe recipes/train/mt0-base.yaml
    """
    if (out is None) == (recipe is None):
        raise ConfigError(
            "xmtf checkpoint convert: give either --out (a model folder) or --recipe (to resume training)"
        )
    if overrides and recipe is None:
        raise ConfigError(f"xmtf checkpoint convert: {overrides[0]}: overrides need --recipe")
    if recipe is not None:
        from xmtf.training.import_state import import_state

        loaded = load_recipe(recipe, overrides or [])
        tokens = tokens or loaded.run.tokens
        check_run_folder(loaded.run_folder)
        with alone_in(loaded.run_folder):
            claim_run_folder(loaded.run_folder)
            where, report = import_state(
                Path(source),
                loaded,
                tokens=tokens,
                step=step,
                adam_steps=adam_steps,
                measures=suite_measures(loaded, tokens),
                replace=replace,
            )
    else:
        from xmtf.models.convert import convert_model

        assert out is not None
        options: dict[str, Any] = {"like": like, "num_heads": heads, "dtype": dtype, "replace": replace}
        where, report = out, convert_model(source, out, write_tokenizer=_tokenizer_of(source), **options)
    if as_json:
        print_json(report.to_json() | {"path": str(where)}, indented=True)
    else:
        print_text(f"{report}\n{where}")


def _tokenizer_of(source: str) -> Callable[[Path], None]:
    """Return what writes the tokenizer that a model reference has, such as a GGUF file's, or says that it has none."""

    def write(folder: Path) -> None:
        from xmtf.models import find_model
        from xmtf.tokens import load_tokenizer

        try:
            load_tokenizer(str(find_model(source))).save(folder)
        except (ConfigError, SourceError) as error:
            warn(f"no tokenizer is written: {error}; --like MODEL copies the tokenizer of another model")

    return write


def _number(value: Any) -> str:
    return f"{value:,.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
