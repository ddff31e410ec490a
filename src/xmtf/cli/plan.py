"""``xmtf plan``: layout, memory and time of a training, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
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
    from xmtf.training.hardware import find_gpu
    from xmtf.training.planner import Machine, Planner
    from xmtf.training.preview import meta_model

    loaded = load_recipe(recipe, overrides or [])
    model = meta_model(loaded.recipe, None)
    if model is None:
        raise ConfigError(
            f"{recipe}: its model's size is not known before it is loaded; give hidden_size, num_layers, num_heads "
            "and vocab_size in the model section"
        )
    card = find_gpu(gpu)
    try:
        each = card.memory if memory is None else parse_quantity(memory, "bytes")
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from None
    machine = Machine(card, gpus, each, gpus_per_node, efficiency)
    made = Planner(model, loaded.recipe, machine).plan()
    if as_json:
        typer.echo(orjson.dumps(_json(made), option=orjson.OPT_INDENT_2).decode())
        return
    typer.echo(f"{gpus} x {gpu}, {each / 1e9:.0f} GB each, {gpus_per_node} a node; {made.steps:,} steps, "
               f"{made.tokens / 1e9:.2f} B tokens with padding")  # fmt: skip
    typer.echo(f"checkpoint {made.checkpoint / 1e9:,.1f} GB, finished model {made.export / 1e9:,.1f} GB\n")
    for line in _table(made.layouts[:show]):
        typer.echo(line)
    if len(made.layouts) > show:
        typer.echo(f"and {len(made.layouts) - show} more (--show N, --json)")
    typer.echo(f"\n{'recommended: ' if made.recommended else ''}{_named(made)}{made.reason}")
    if made.recommended:
        typer.echo(_keys(made.recommended))


def _named(made: Plan) -> str:
    return f"{made.recommended.degrees}, " if made.recommended else ""


def _keys(best: Planned) -> str:
    axes = " ".join(f"training.parallel.{axis}={getattr(best.degrees, axis)}" for axis in ("pp", "dp_shard", "tp"))
    checkpointing = str(best.checkpointing).lower()
    rows = f"training.micro_batch_rows={best.rows} training.activation_checkpointing={checkpointing}"
    return f"as overrides: {axes} {rows}"


def _table(layouts: tuple[Planned, ...]) -> list[str]:
    head = (
        f"{'pp':>3} {'repl':>4} {'shard':>5} {'tp':>2} {'rows':>4} {'recompute':>9} {'fits':>4} {'GiB':>7} "
        f"{'weights':>7} {'grads':>6} {'optim':>6} {'activ':>7} {'logits':>6} {'bubble':>6} {'GB sent':>8} "
        f"{'s/step':>8} {'tokens/s':>10} {'hours':>8}"
    )
    return [head, *(_line(entry) for entry in layouts)]


def _line(entry: Planned) -> str:
    memory, degrees, gib = entry.memory, entry.degrees, 2**30
    return (
        f"{degrees.pp:>3} {degrees.dp_replicate:>4} {degrees.dp_shard:>5} {degrees.tp:>2} {entry.rows:>4} "
        f"{'yes' if entry.checkpointing else 'no':>9} {'yes' if entry.fits else 'no':>4} {memory.total / gib:>7.1f} "
        f"{memory.weights / gib:>7.1f} {memory.gradients / gib:>6.1f} {memory.optimizer / gib:>6.1f} "
        f"{memory.activations / gib:>7.1f} {memory.logits / gib:>6.2f} {entry.bubble:>6.1%} "
        f"{entry.communication / 1e9:>8.1f} {entry.step_s:>8.2f} {entry.tokens_per_s:>10,.0f} {entry.hours:>8.1f}"
    )


def _json(made: Plan) -> dict[str, Any]:
    from dataclasses import asdict

    best = made.recommended
    totals = {key: value for key, value in asdict(made).items() if key not in ("layouts", "recommended")}
    return totals | {
        "recommended": best.to_json() if best else None,
        "layouts": [entry.to_json() for entry in made.layouts],
    }
