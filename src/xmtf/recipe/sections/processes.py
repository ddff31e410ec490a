"""How the processes of a training work together: the keys of ``training.parallel`` and ``training.timeouts``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xmtf.recipe.effects import affects
from xmtf.recipe.quantities import Seconds
from xmtf.recipe.sections.section import Section

__all__ = ["Parallel", "Timeouts"]

_UNSEEN = affects()
_Wait = Annotated[Seconds, _UNSEEN, Field(gt=0, le=30 * 24 * 3600)]


class Parallel(Section):
    """How `torchrun`'s processes share the work: the degrees multiply to their number."""

    dp_replicate: Annotated[int | None, affects(training="rounding")] = Field(default=None, ge=1)
    """Processes that hold the same and compute different rows; default as many as the other degrees leave."""
    dp_shard: Annotated[int, affects(training="rounding")] = Field(default=1, ge=1)
    """Processes that compute different rows and keep shards of weights, gradients and optimizer (FSDP2)."""
    tp: Annotated[int, affects(training="rounding")] = Field(default=1, ge=1)
    """Processes that hold slices of every matrix (BLOOM, mT5); divides the attention heads."""
    pp: Annotated[int, affects(training="rounding")] = Field(default=1, ge=1)
    """Processes that hold consecutive blocks, as pipeline stages (BLOOM)."""
    schedule: Annotated[Literal["1f1b", "interleaved"], affects(training="rounding")] = "1f1b"
    """Order of forward and backward passes in a pipeline."""
    stages_per_rank: Annotated[int, affects(training="rounding")] = Field(default=2, ge=2)
    """Stages of each process with `interleaved`: more shorten the bubble and lengthen the communication."""
    zero: Annotated[Literal[1, 3] | None, affects(training="rounding")] = None
    """What `dp_shard` shards. `3`: weights and gradients too, gathered and added up for every micro-batch; `1`: the
    optimizer alone, so blocks are gathered and gradients added up once a step, for the memory of whole ones.
    Default the faster one that fits, by the model of time of `xmtf plan`, which lists both; `3` on CPUs."""


class Timeouts(Section):
    """How long the processes of a training wait for each other before they end: seconds, or `90 min`, `2 h`."""

    start: _Wait = 3600.0
    """Until all have started, read the model, and got the random weights that one of them writes."""
    step: _Wait = 1800.0
    """For any exchange in a step or a validation."""
    checkpoint: _Wait = 7200.0
    """For the slowest process to write or read its part of a checkpoint."""
    export: _Wait = 86400.0
    """For the model to be written after the last step."""
    silence: _Wait = 300.0
    """For a sign of life: a process that gives none (killed, stopped, machine gone) is named, and the others end."""
