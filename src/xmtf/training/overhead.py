"""What a training takes in addition to its steps, as planned: validation on held-out rows, checkpoints, the export."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.parallel.topology.gpus import GpuPool
from xmtf.recipe import Recipe
from xmtf.training.loop.validation import Pace
from xmtf.training.planning.planner import LayoutPlan

__all__ = ["NODE_BYTES_S", "Overhead", "overhead_of"]

NODE_BYTES_S = 1e9
"""What a machine is taken to write to, or read from, a shared file system in a second."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Hours in addition to the steps, by the recommended layout.

    Attributes:
        validations: How often held-out rows are measured on.
        validation_hours: All of them together; suites are not counted.
        checkpoints: How many are written.
        checkpoint_hours: While training waits for them; 0 with ``save_in_background``.
        export_hours: The weights read from the checkpoint and written as the model.
    """

    validations: int
    validation_hours: float
    checkpoints: int
    checkpoint_hours: float
    export_hours: float


def overhead_of(made: LayoutPlan, recipe: Recipe, machine: GpuPool) -> Overhead | None:
    """Return what the recommended layout takes in addition to its steps; None where none is recommended.

    A forward pass is a third of a step's products, a fourth where activations are recomputed. Data-parallel processes
    share the micro-batches of a validation, which follow one another through the stages of a pipeline.
    """
    best, training = made.recommended, recipe.training
    if best is None:
        return None
    pace = Pace.of(training, made.steps, training.global_batch_rows)
    times = -(-made.steps // pace.every) + pace.first
    if recipe.mixture.validation_fraction == 0:
        times = 0
    layout, busy = best.layout, best.time.seconds * (1 - best.time.bubble)
    forward = busy / layout.num_micro(training) / (4 if layout.checkpointing else 3)
    places = -(-pace.rows // (layout.rows * layout.dims.data)) + (layout.dims.pp - 1) / layout.stages_per_rank
    saved = 1 + (made.steps - 1) // training.save_every if training.save_every else 1
    rate = NODE_BYTES_S * -(-machine.num_gpus // machine.per_node)
    waits = 0.0 if training.save_in_background else saved * made.checkpoint / rate
    return Overhead(
        times,
        times * forward * places / 3600,
        saved,
        waits / 3600,
        2 * made.export / rate / 3600,
    )
