"""``xmtf checkpoint``: what a run has saved, and how to take a model out of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="List, inspect and export checkpoints.")

RunFolder = Annotated[Path, typer.Argument(help="Folder of a run, such as runs/demo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(run: RunFolder, as_json: AsJson = False) -> None:
    """Print the checkpoints of a run that are whole, oldest first.

    Example: xmtf checkpoint list runs/demo
    """
    import orjson

    from xmtf.training.export import run_checkpoints

    found = run_checkpoints(run)
    if as_json:
        entries = [{"path": str(path), **asdict(progress)} for path, progress in found.items()]
        typer.echo(orjson.dumps(entries, option=orjson.OPT_INDENT_2).decode())
        return
    for path, progress in found.items():
        size = sum(item.stat().st_size for item in path.iterdir()) / 1e6
        typer.echo(f"{path}  step {progress.step:,}  {progress.tokens:,} tokens  {size:,.1f} MB")


@app.command()
def inspect(
    checkpoint: Annotated[Path, typer.Argument(help="Folder of a checkpoint.")], as_json: AsJson = False
) -> None:
    """Print how far a checkpoint had come and the shape of every tensor in it.

    Example: xmtf checkpoint inspect runs/demo/checkpoints/step-000700
    """
    import orjson

    from xmtf.training.checkpoint import read_progress
    from xmtf.training.export import tensor_shapes

    progress, shapes = asdict(read_progress(checkpoint)), tensor_shapes(checkpoint)
    if as_json:
        typer.echo(orjson.dumps({"progress": progress, "tensors": shapes}, option=orjson.OPT_INDENT_2).decode())
        return
    for name, value in progress.items():
        typer.echo(f"{name:<12} {value}")
    for name, shape in shapes.items():
        typer.echo(f"{' x '.join(map(str, shape)) or 'scalar':>16}  {name}")


@app.command()
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    step: Annotated[int | None, typer.Option(help="Which checkpoint; default the newest.")] = None,
) -> None:
    """Write a checkpoint as a model folder that plain transformers loads, with a model card.

    Example: xmtf checkpoint export runs/demo --out exported
    """
    from xmtf.report import write_model_card
    from xmtf.training.export import export_checkpoint

    path = export_checkpoint(run, out, step=step)
    write_model_card(run, out)
    typer.echo(f"{out}  from {path}")
