"""``xmtf plan``: layout, memory and time of a training, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmtf.cli.options import needs_models
from xmtf.cli.printing import print_json

if TYPE_CHECKING:
    from xmtf.training.planning.planner import LayoutPlan

__all__ = ["plan"]


@needs_models
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
    from xmtf.cli.plan_lines import plan_lines
    from xmtf.errors import ConfigError
    from xmtf.recipe import load_recipe
    from xmtf.recipe.quantities import parse_quantity
    from xmtf.training.planning.planner import Planner
    from xmtf.training.preview import meta_model
    from xmtf.training.start import adapt_model
    from xmtf.training.topology.gpus import GpuPool, find_gpu

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
    machine = GpuPool(card, gpus, each, gpus_per_node, efficiency)
    made = Planner(model, loaded.recipe, machine).plan()
    if as_json:
        print_json(_json(made), indented=True)
        return
    for line in plan_lines(made, machine, loaded.recipe.training, show):
        typer.echo(line)


def _json(made: LayoutPlan) -> dict[str, object]:
    from dataclasses import asdict

    best = made.recommended
    totals = {key: value for key, value in asdict(made).items() if key not in ("layouts", "recommended")}
    return totals | {
        "recommended": best.to_json() if best else None,
        "layouts": [entry.to_json() for entry in made.layouts],
    }
