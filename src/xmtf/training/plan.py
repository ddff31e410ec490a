"""Every layout that a recipe's training could have on GPUs that are not available, and a rehearsal of one of them.

What ``xmtf plan`` calls.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from xmtf.errors import ConfigError, UnknownNameError, UserError
from xmtf.parallel.topology.constraints import check_constraints
from xmtf.parallel.topology.gpus import GpuPool, find_gpu
from xmtf.parallel.topology.mesh import resolve_dims
from xmtf.parallel.topology.parallel_dims import AXES
from xmtf.recipe import LoadedRecipe, Recipe
from xmtf.recipe.quantities import parse_quantity
from xmtf.recipe.schema import Parallel
from xmtf.training.planning.candidate import Candidate
from xmtf.training.planning.memory import Estimator, MemoryEstimate
from xmtf.training.planning.planner import LayoutPlan, Planned, Planner
from xmtf.training.planning.zero_choice import choose_zero
from xmtf.training.preview import meta_model
from xmtf.training.rehearsal.rehearse import Rehearsal, rehearse, stages_to_rehearse
from xmtf.training.start import adapt_model

__all__ = [
    "GpuOptions",
    "RehearsedTraining",
    "checkpoint_bytes",
    "plan_training",
    "read_layout",
    "rehearse_training",
    "shape_of",
]

Kernels = Literal["gpu", "cpu"]
_KEYS = (*AXES, "stages", "rows", "recompute", "zero")


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """The GPUs to plan for, as a user gives them.

    Attributes:
        name: Of the card, such as ``a100``.
        count: How many there are.
        memory: Of each, such as ``80GB``; None for the card's.
        per_node: GPUs of a node.
        efficiency: Share of the card's peak that matrix products reach; None for what was published of the card.
    """

    name: str
    count: int
    memory: str | None
    per_node: int
    efficiency: float | None = None

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
            raise ConfigError(f"--memory {self.memory}: less than a gigabyte; give the unit, such as 80GB")
        return GpuPool(card, self.count, each, self.per_node, self.efficiency)


@dataclass(frozen=True, slots=True)
class RehearsedTraining:
    """A layout that was rehearsed.

    Attributes:
        planned: Its memory and time by the formulas, with the kernels of a GPU.
        stages: What the first process of some pipeline stages came to.
        formulas: What the formulas say of each of them, in the same order: with a CPU's kernels, as rehearsed, and with
            a GPU's.
        seconds: How long the rehearsal took.
    """

    planned: Planned
    stages: tuple[Rehearsal, ...]
    formulas: tuple[tuple[MemoryEstimate, MemoryEstimate], ...]
    seconds: float


def plan_training(loaded: LoadedRecipe, gpus: GpuOptions, kernels: Kernels = "gpu") -> tuple[LayoutPlan, GpuPool]:
    """Return all layouts with their memory and time, and the machine that they are for.

    Raises:
        ConfigError: The size of the model is not known before it is loaded.
    """
    pool = gpus.pool()
    return Planner(shape_of(loaded), loaded.recipe, pool, kernels).plan(), pool


def rehearse_training(loaded: LoadedRecipe, gpus: GpuOptions, layout: str | None) -> RehearsedTraining:
    """Rehearse some processes of a layout: the first of the first, the second, the middle and the last pipeline stage.

    Args:
        loaded: The recipe.
        gpus: Their number is that of the processes.
        layout: As for :func:`read_layout`; None for the recommended one.

    Raises:
        ConfigError: No layout fits, or the one that is asked for cannot be trained.
    """
    started, recipe, pool = time.monotonic(), loaded.recipe, gpus.pool()
    planner = Planner(shape_of(loaded), recipe, pool)
    if layout is None:
        best = planner.plan().recommended
        if best is None:
            raise ConfigError("no layout fits, so none is recommended; give the layout to rehearse with --layout")
        chosen = best.layout
    else:
        chosen = read_layout(layout, recipe, pool.num_gpus, planner)
        check_constraints(planner.model, chosen.asked_of(recipe.training), chosen.dims)
    stages, formulas = [], []
    for stage in stages_to_rehearse(chosen.dims.pp):
        model = shape_of(loaded)  # a rehearsal cuts it
        stages.append(rehearse(model, model.family, recipe, chosen, stage))
        estimator = Estimator.of(planner.model, recipe, stages[-1].predicted_share, stages[-1].attended)
        cpu, gpu = (estimator.estimate_ranks(replace(chosen, gpu=kernels), [stage])[0] for kernels in (False, True))
        formulas.append((cpu, gpu))
    return RehearsedTraining(planner.planned(chosen), tuple(stages), tuple(formulas), time.monotonic() - started)


def read_layout(text: str, recipe: Recipe, num_gpus: int, planner: Planner | None = None) -> Candidate:
    """Return a layout as a user writes it: ``pp=18 dp_shard=4 tp=4``; replicas are what the others leave.

    Further keys are ``stages`` (of each pipeline process), ``rows`` (of a micro-batch), ``recompute`` (0 or 1) and
    ``zero`` (1 or 3); what is not given is as in the recipe, stages 1. Where neither has ``zero``, it is the faster one
    that fits, or 3 without a planner.

    Raises:
        ConfigError: A key or number that is none, or axes that do not multiply to the number of GPUs.
    """
    keys: dict[str, int] = {}
    for word in text.replace(",", " ").split():
        name, _, number = word.partition("=")
        if name not in _KEYS:
            raise UnknownNameError("key", name, _KEYS, "--layout")
        if not number.isdigit() or (int(number) == 0 and name != "recompute") or name in keys:
            raise ConfigError(f"--layout {word}: give each key once with a whole number, such as {name}=1")
        keys[name] = int(number)
    if keys.get("zero", 3) not in (1, 3) or keys.get("recompute", 0) > 1:
        raise ConfigError("--layout: zero is 1 or 3, recompute 0 or 1")
    parallel = Parallel(**{axis: keys[axis] for axis in AXES if axis in keys})
    made = prod(keys.get(axis, 1) for axis in AXES)
    if num_gpus % made or ("dp_replicate" in keys and made != num_gpus):
        raise ConfigError(f"--layout {text!r}: its axes make {made} processes, which do not fit --gpus {num_gpus}")
    training = recipe.training
    layout = Candidate(
        resolve_dims(parallel, num_gpus),
        keys.get("rows", training.micro_batch_rows),
        bool(keys.get("recompute", training.activation_checkpointing)),
        gpu=True,
        stages_per_rank=keys.get("stages", 1),
        zero=keys.get("zero", training.parallel.zero or 3),
        zero_bubble=keys.get("pp", 1) > 1 and training.parallel.schedule == "zero_bubble",
    )
    if planner is None or "zero" in keys or training.parallel.zero is not None:
        return layout
    return replace(layout, zero=choose_zero(planner, layout))


def checkpoint_bytes(loaded: LoadedRecipe) -> float | None:
    """Return the bytes of a checkpoint; None where the size of the model is not known here, without a network."""
    recipe = loaded.recipe.model_copy(update={"offline": True})
    try:
        model = meta_model(recipe, None)
    except UserError:  # its configuration is not here
        return None
    if model is None:
        return None
    adapt_model(model, recipe.model, seed=recipe.seed)
    return Planner(model, recipe, GpuPool(find_gpu("a100"), 1, 80e9, 1)).file_sizes()[0]


def shape_of(loaded: LoadedRecipe) -> Any:
    """Return a recipe's model on the meta device, adapted."""
    recipe = loaded.recipe
    model = meta_model(recipe, None)
    if model is None:
        raise ConfigError(
            f"{loaded.path}: its model's size is unknown until it is loaded; give hidden_size, num_layers, "
            "num_heads and vocab_size in the model section"
        )
    adapt_model(model, recipe.model, seed=recipe.seed)
    return model
