"""``xmtf plan``: layout, memory and time of a training, before anything is started."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xmtf.cli.plan.lines import overhead_lines, plan_lines
from xmtf.cli.plan.reading_lines import reading_lines, rehearsed_reading_lines
from xmtf.cli.plan.rehearsal_lines import rehearsal_lines
from xmtf.cli.terminal.options import Overrides, needs_models
from xmtf.cli.terminal.printing import print_json, print_text
from xmtf.errors import ConfigError
from xmtf.recipe import LoadedRecipe, load_recipe

if TYPE_CHECKING:
    from xmtf.training.plan import GpuOptions
    from xmtf.training.planning.planner import LayoutPlan

__all__ = ["plan"]


@needs_models
def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, such as recipes/train/bloomz.yaml.")],
    overrides: Overrides = None,
    gpus: Annotated[int, typer.Option(min=1, help="Number of GPUs.")] = 8,
    memory: Annotated[str | None, typer.Option(help="Memory per GPU, such as 80GB; default: by GPU model.")] = None,
    gpu: Annotated[str, typer.Option(metavar="a100|a100-40|h100|h200|v100|l40s|a10", help="GPU model.")] = "a100",
    gpus_per_node: Annotated[int, typer.Option(min=1, help="GPUs per node.")] = 8,
    efficiency: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            help="Fraction of the GPU's peak that matrix products reach; default: 0.4 for h100 and h200, else 0.5.",
        ),
    ] = None,
    kernels: Annotated[
        Literal["gpu", "cpu"], typer.Option(help="Kernels whose memory is estimated; CPU kernels keep more.")
    ] = "gpu",
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse", help="Run two steps of a layout locally, without weights, and count memory and operations."
        ),
    ] = False,
    layout: Annotated[
        str | None,
        typer.Option(help="Layout to rehearse, such as 'pp=18 dp_shard=4 tp=4'; default: the recommended one."),
    ] = None,
    evaluation: Annotated[
        bool, typer.Option("--evaluation", help="Plan how the GPUs hold the model for evaluation, instead of training.")
    ] = False,
    show: Annotated[int, typer.Option(min=1, help="Number of layouts to print.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all layouts.")] = False,
) -> None:
    """Print possible layouts for training on N GPUs, fastest first, and the recommended one.

    Needs no weights, no network and no GPU: memory and time are estimated from shapes. A rehearsal runs the training
    code itself, process by process, on tensors that have shapes but no data; it takes minutes. With --evaluation, the
    layouts are those of evaluation.parallel, and a rehearsal ranks one batch.

    Example: xmtf plan recipes/train/bloomz.yaml --gpus 288 --memory 80GB
    """
    from xmtf.training.overhead import overhead_of
    from xmtf.training.plan import GpuOptions, plan_training, rehearse_training

    loaded, options = load_recipe(recipe, overrides or []), GpuOptions(gpu, gpus, memory, gpus_per_node, efficiency)
    if layout is not None and not rehearse:
        raise ConfigError("--layout: applies to rehearsals; give --rehearse too")
    if evaluation:
        answer, lines = _reading(loaded, options, layout, rehearse=rehearse, show=show)
        if as_json:
            print_json(answer, indented=True)
        for line in () if as_json else lines:
            print_text(line)
        return
    if rehearse:
        rehearsed = rehearse_training(loaded, options, layout)
        if as_json:
            print_json(asdict(rehearsed), indented=True)
        for line in () if as_json else rehearsal_lines(rehearsed):
            print_text(line)
        return
    made, pool = plan_training(loaded, options, kernels)
    if as_json:
        overhead = overhead_of(made, loaded.recipe, pool)
        print_json(_json(made) | {"overhead": None if overhead is None else asdict(overhead)}, indented=True)
        return
    for line in plan_lines(made, pool, loaded.recipe.training, show):
        print_text(line)
    for line in overhead_lines(overhead_of(made, loaded.recipe, pool)):
        print_text(line)


def _reading(
    loaded: LoadedRecipe, options: GpuOptions, layout: str | None, *, rehearse: bool, show: int
) -> tuple[dict[str, object], list[str]]:
    """Return the layouts of an evaluation, or a rehearsal of one of them, as JSON and as lines."""
    from xmtf.evaluation.layouts import plan_reading, read_dims, rehearse_reading, stored_dtype
    from xmtf.training.plan import shape_of

    shape, pool, dtype = partial(shape_of, loaded), options.pool(), stored_dtype(loaded.recipe.evaluation.dtype)
    if rehearse:
        dims = None if layout is None else read_dims(layout, pool.num_gpus)
        rehearsed = rehearse_reading(shape, dtype, pool, dims)
        return asdict(rehearsed), rehearsed_reading_lines(rehearsed)
    layouts, name = plan_reading(shape, dtype, pool), str(dtype).removeprefix("torch.")
    found = [asdict(each) for each in layouts]
    best = next((each for each in found if each["fits"]), None)
    return {"dtype": name, "recommended": best, "layouts": found}, reading_lines(layouts, pool, name, show)


def _json(made: LayoutPlan) -> dict[str, object]:
    best = made.recommended
    totals = {key: value for key, value in asdict(made).items() if key not in ("layouts", "recommended")}
    return totals | {
        "recommended": best.to_json() if best else None,
        "layouts": [entry.to_json() for entry in made.layouts],
    }
