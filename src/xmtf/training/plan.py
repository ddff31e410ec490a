"""Every layout that a recipe's training could have on GPUs that are not at hand: what ``xmtf plan`` calls."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.errors import ConfigError
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.quantities import parse_quantity
from xmtf.training.planning.planner import LayoutPlan, Planner
from xmtf.training.preview import meta_model
from xmtf.training.start import adapt_model
from xmtf.training.topology.gpus import GpuPool, find_gpu

__all__ = ["GpuOptions", "plan_training"]


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """The GPUs to plan for, as a user gives them.

    Attributes:
        name: Of the card, such as ``a100``.
        count: How many there are.
        memory: Of each, such as ``80GB``; None for the card's.
        per_node: GPUs of a node.
        efficiency: Share of the card's peak that matrix products reach.
    """

    name: str
    count: int
    memory: str | None
    per_node: int
    efficiency: float

    def pool(self) -> GpuPool:
        """Return the machine.

        Raises:
            ConfigError: The memory is no size, or one that no card has.
            UnknownNameError: No such card.
        """
        card = find_gpu(self.name)
        try:
            each = card.memory if self.memory is None else parse_quantity(self.memory, "bytes")
        except ValueError as error:
            raise ConfigError(f"--memory: {error}") from None
        if each < 1e9:
            raise ConfigError(f"--memory {self.memory}: less than a gigabyte; say the unit, such as 80GB")
        return GpuPool(card, self.count, each, self.per_node, self.efficiency)


def plan_training(loaded: LoadedRecipe, gpus: GpuOptions) -> tuple[LayoutPlan, GpuPool]:
    """Return all layouts with their memory and time, and the machine that they are for.

    Raises:
        ConfigError: The size of the model is not known before it is loaded.
    """
    recipe = loaded.recipe
    model = meta_model(recipe, None)
    if model is None:
        raise ConfigError(
            f"{loaded.path}: its model's size is not known before it is loaded; give hidden_size, num_layers, "
            "num_heads and vocab_size in the model section"
        )
    adapt_model(model, recipe.model, seed=recipe.seed)
    pool = gpus.pool()
    return Planner(model, recipe, pool).plan(), pool
