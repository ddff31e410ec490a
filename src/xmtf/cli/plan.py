"""``xmtf plan``: layout, memory and time of a training, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from xmtf.recipe.schema import Training
    from xmtf.training.hardware import Machine
    from xmtf.training.planner import Plan, Planned

__all__ = ["plan"]


def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe file, such as recipes/train/bloomz.yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Overrides, such as training.steps=200.")] = None,
    gpus: Annotated[int, typer.Option(min=1, help="How many GPUs there are.")] = 8,
    memory: Annotated[str | None, typer.Option(help="Memory of each, such as 80GB; default the card's.")] = None,
    gpu: Annotated[str, typer.Option(help="Which card: a100, a100-40, h100, h200, v100, l40s, a10.")] = "a100",
    gpus_per_node: Annotated[int, typer.Option(min=1, help="GPUs of a node.")] = 8,
    efficiency: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the card's peak that matrix products reach.")
    ] = 0.5,
    show: Annotated[int, typer.Option(min=1, help="How many layouts to print.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every layout.")] = False,
) -> None:
    """Print every layout of a training on N GPUs, fastest first, and the one that is recommended.

    Needs no weights, no network and no GPU: memory and time are estimated from shapes.

    Example: xmtf plan recipes/train/bloomz.yaml --gpus 288 --memory 80GB
    """
    import orjson

    from xmtf.errors import ConfigError
    from xmtf.recipe import load_recipe
    from xmtf.recipe.quantities import parse_quantity
    from xmtf.training.hardware import Machine, find_gpu
    from xmtf.training.planner import Planner
    from xmtf.training.preview import meta_model
    from xmtf.training.start import adapt_model

    loaded = load_recipe(recipe, overrides or [])
    model = meta_model(loaded.recipe, None)
    if model is None:
        raise ConfigError(
            f"{recipe}: its model's size is not known before it is loaded; give hidden_size, num_layers, num_heads "
            "and vocab_size in the model section"
        )
    adapt_model(model, loaded.recipe.model, seed=loaded.recipe.seed)
    card = find_gpu(gpu)
    try:
        each = card.memory if memory is None else parse_quantity(memory, "bytes")
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from None
    if each < 1e9:
        raise ConfigError(f"--memory {memory}: less than a gigabyte; say the unit, such as 80GB")
    machine = Machine(card, gpus, each, gpus_per_node, efficiency)
    made = Planner(model, loaded.recipe, machine).plan()
    if as_json:
        typer.echo(orjson.dumps(_json(made), option=orjson.OPT_INDENT_2).decode())
        return
    for line in (*_head(made, machine), "", *_table(made, show), "", *_advice(made, loaded.recipe.training)):
        typer.echo(line)


def _head(made: Plan, machine: Machine) -> list[str]:
    gpu = machine.gpu
    return [
        f"{machine.num_gpus} x {gpu.name}, {machine.memory / 1e9:.0f} GB each, {machine.per_node} a node; "
        f"{made.steps:,} steps, {made.tokens / 1e9:.2f} B tokens with padding",
        f"checkpoint {made.checkpoint / 1e9:,.1f} GB, finished model {made.export / 1e9:,.1f} GB",
        f"estimates, not measurements: products at {machine.efficiency:.0%} of {gpu.peak / 1e12:.0f} TFLOP/s "
        f"(--efficiency), {gpu.link / 1e9:g} GB/s inside a node, {gpu.network / 1e9:g} between nodes",
    ]


def _table(made: Plan, show: int) -> list[str]:
    head = (
        f"{'pp':>3} {'stages':>6} {'repl':>4} {'shard':>5} {'tp':>2} {'rows':>4} {'recompute':>9} {'fits':>4} "
        f"{'GiB':>7} {'bubble':>6} {'GB sent':>8} {'s/step':>8} {'tokens/s':>10} {'MFU':>5} {'hours':>8}"
    )
    lines = [head, *(_line(entry) for entry in made.layouts[:show])]
    hidden = len(made.layouts) - show
    return (
        [*lines, f"and {hidden} more (--show N; --json has all, with memory by what it holds)"] if hidden > 0 else lines
    )


def _line(entry: Planned) -> str:
    layout, degrees, time = entry.layout, entry.layout.degrees, entry.time
    return (
        f"{degrees.pp:>3} {layout.stages_per_rank:>6} {degrees.dp_replicate:>4} {degrees.dp_shard:>5} {degrees.tp:>2} "
        f"{layout.rows:>4} {'yes' if layout.checkpointing else 'no':>9} {'yes' if entry.fits else 'no':>4} "
        f"{entry.memory.total / 2**30:>7.1f} {time.bubble:>6.1%} {time.sent / 1e9:>8.1f} {time.seconds:>8.2f} "
        f"{entry.tokens_per_s:>10,.0f} {time.mfu:>5.1%} {entry.hours:>8.1f}"
    )


def _advice(made: Plan, training: Training) -> list[str]:
    best = made.recommended
    if best is None:
        return list(made.reasons)
    keys = best.layout.overrides(training)
    return [
        f"recommended: {best.layout}",
        *(f"  {reason}" for reason in made.reasons),
        f"  memory {best.memory}",
        f"  as overrides: {' '.join(keys)}" if keys else "  as the recipe has it",
    ]


def _json(made: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    best = made.recommended
    totals = {key: value for key, value in asdict(made).items() if key not in ("layouts", "recommended")}
    return totals | {
        "recommended": best.to_json() if best else None,
        "layouts": [entry.to_json() for entry in made.layouts],
    }
