"""How processes work together: ``training.parallel``, ``evaluation.parallel`` and ``training.timeouts``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xmtf.errors import ConfigError
from xmtf.recipe.effects import affects
from xmtf.recipe.quantities import Seconds
from xmtf.recipe.sections.section import Section

__all__ = ["EvaluationParallel", "Parallel", "Timeouts", "check_cut"]

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
    schedule: Annotated[Literal["1f1b", "interleaved", "zero_bubble"], affects(training="rounding")] = "1f1b"
    """Order of forward and backward passes in a pipeline. `zero_bubble` computes gradients of weights while it would
    wait: a third of the bubble of `1f1b`, and every stage keeps as many micro-batches as the first."""
    stages_per_rank: Annotated[int, affects(training="rounding")] = Field(default=2, ge=2)
    """Stages of each process with `interleaved`: more shorten the bubble and lengthen the communication."""
    zero: Annotated[Literal[1, 3] | None, affects(training="rounding")] = None
    """What `dp_shard` shards. `3`: weights and gradients too, gathered and added up for every micro-batch; `1`: the
    optimizer alone, so blocks are gathered and gradients added up once a step, for the memory of whole ones.
    Default the faster one that fits, by the model of time of `xmtf plan`, which lists both; `3` on CPUs."""

    @property
    def stages_each(self) -> int:
        """Pipeline stages of each process."""
        return self.stages_per_rank if self.schedule == "interleaved" else 1


class EvaluationParallel(Section):
    """How processes share an evaluation: `tp` x `pp` of them hold the model once, and copies share the requests."""

    tp: Annotated[int, affects(evaluation="rounding")] = Field(default=1, ge=1)
    """Processes that hold slices of every matrix (BLOOM, mT5, causal models of transformers)."""
    pp: Annotated[int, affects(evaluation="rounding")] = Field(default=1, ge=1)
    """Processes that hold consecutive blocks and compute one after the other (BLOOM)."""

    @property
    def processes(self) -> int:
        """Processes that hold the model once."""
        return self.tp * self.pp

    def copies(self, num_processes: int) -> int:
        """Return how many copies of the model so many processes hold.

        Raises:
            ConfigError: They make no whole copies.
        """
        copies, rest = divmod(num_processes, self.processes)
        axes = f"evaluation.parallel: tp {self.tp} x pp {self.pp} needs {self.processes} processes"
        if num_processes == 1 < self.processes:
            raise ConfigError(
                f"{axes}, and this is one; start them with `xmtf launch local RECIPE --processes {self.processes}` or "
                f"`torchrun --nproc-per-node {self.processes} -m xmtf`, or leave evaluation.parallel out"
            )
        if rest or not copies:
            raise ConfigError(
                f"{axes} for each copy of the model, and {num_processes} are not a multiple of that; start as many, or "
                "change tp and pp"
            )
        return copies


def check_cut(parallel: EvaluationParallel | None, architecture: str | None, shape: tuple[int, int] | None) -> None:
    """Refuse what the shape of a recipe's model rules out; that of a pretrained one is looked at when it is read.

    Args:
        parallel: How it is cut, if it is.
        architecture: Of it, where that is known.
        shape: Its blocks and attention heads, where they are known.

    Raises:
        ValueError: It cannot be cut so.
    """
    if parallel is None:
        return
    key = "evaluation.parallel"
    if parallel.pp > 1 and architecture not in (None, "bloom"):
        raise ValueError(f"{key}.pp: only causal models can be split into stages; set pp to 1 and raise tp")
    blocks, heads = shape or (parallel.pp, parallel.tp)
    if parallel.pp > blocks + 2:
        raise ValueError(
            f"{key}.pp: {parallel.pp} stages for {blocks} blocks, an embedding and a head; set at most {blocks + 2}"
        )
    if heads % parallel.tp:
        raise ValueError(f"{key}.tp: {heads} attention heads are not divisible among {parallel.tp} processes")


class Timeouts(Section):
    """How long processes that work together wait for each other before they end: seconds, or `90 min`, `2 h`."""

    start: _Wait = 3600.0
    """Until all have started, read the model, and got the random weights that one of them writes."""
    step: _Wait = 1800.0
    """For any exchange in a step or a validation, or in a batch of an evaluation."""
    checkpoint: _Wait = 7200.0
    """For the slowest process to write or read its part of a checkpoint."""
    export: _Wait = 86400.0
    """For the model to be written after the last step."""
    silence: _Wait = 300.0
    """For a sign of life: a process that gives none (killed, stopped, machine gone) is named, and the others end."""
