"""What is measured on the model as it trains, and which checkpoint that speaks for.

Losses are taken on rows that are never trained on, the same ones each time, so that curves can be
compared. Suites of rank and generation tasks come as measures from outside: this room does not know
evaluation. The best checkpoint is chosen on both kinds together, since accuracy reaches its plateau
while generation already decays (Muennighoff et al. 2023: BLOOMZ's BLEU is highest after 2 billion tokens
and half as high after 7, at the same accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

from xmtf.models.layers.cut import read_whole
from xmtf.parallel.topology.ranks import ALONE, Ranks
from xmtf.recipe.schema import Training
from xmtf.training.loop.events import GroupLosses, Log
from xmtf.training.loss.batches import Batch, RowLoader
from xmtf.training.loss.objective import Objective
from xmtf.training.loss.targets import Targets, Weighting, select_targets
from xmtf.training.numerics.precision import Precision, computing
from xmtf.training.parallel.pipeline_parallel import Pipeline

__all__ = ["Measure", "Measured", "Pace", "Validation", "Watch", "composite"]

Kind = Literal["rank", "generation"]
_FLOOR = 1e-3
"""Counted instead of smaller values, so that a model that writes nothing right is still compared by its accuracy."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measure came to.

    Attributes:
        value: From 0 to 1, higher is better.
        by_task: The same of each task.
    """

    value: float
    by_task: Mapping[str, float]


class Measure(Protocol):
    """Asks the model questions as an evaluation does."""

    @property
    def name(self) -> str:
        """Of the suite, in the log."""

    @property
    def kind(self) -> Kind:
        """Whether it chooses among answers or writes them."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that it asks, and how."""

    def __call__(self, model: object) -> Measured:
        """Measure a model in evaluation mode."""


_MOST_ROWS = 64


@dataclass(frozen=True, slots=True)
class Pace:
    """How often held-out rows are measured on, and on how many.

    Attributes:
        every: Steps between validations; the last step always has one.
        rows: Rows of each.
        first: Whether there is one before the first step.
    """

    every: int
    rows: int
    first: bool = True

    @classmethod
    def of(cls, training: Training, num_steps: int, rows_per_step: int) -> Pace:
        """Return what the recipe says, else at most a tenth of the training's rows, in all validations together.

        ::

            steps x rows   without keys                              read on the whole
            700 x 16       every 70 steps, 64 rows, 11 times         704 of at most 1,120
            8 x 4          at steps 0, 4 and 8, a row each           3 of at most 3
            3 x 2          at the end, a row                         1, the least there is
        """
        every = training.validate_every or max(1, num_steps // 10)
        if training.validation_rows is not None:
            return cls(every, training.validation_rows)
        allowed = num_steps * rows_per_step // 10
        times = 1 + -(-num_steps // every)
        if training.validate_every is None and allowed < times:
            times = max(1, allowed)
            every = num_steps if times <= 2 else -(-num_steps // (times - 1))
        return cls(every, max(1, min(_MOST_ROWS, allowed // times)), first=times > 1)

    def micro_rows(self, most: int) -> int:
        """Return the rows that are computed together: a divisor of ``most``, and no more than there are."""
        return max(size for size in range(1, most + 1) if most % size == 0 and size <= max(1, self.rows))


@dataclass(frozen=True, slots=True)
class Validation:
    """Measures the loss on held-out rows.

    Attributes:
        name: Of the group of rows, in the log.
        loader: Gives the rows; its first ``num_rows`` are used, whole micro-batches of them.
        num_micro: Micro-batches that the loader cuts a step into.
        num_rows: Rows to measure on.
        weighting: How targets are weighted; ``target_compat`` is measured as ``target``.
        precision: What to compute in.
        data: Processes that compute different rows: each takes its share of the micro-batches.
    """

    name: str
    loader: RowLoader
    num_micro: int
    num_rows: int
    weighting: Weighting
    precision: Precision
    data: Ranks = ALONE

    def __call__(self, model: Any, objective: Objective | Pipeline) -> GroupLosses:
        """Return mean losses, over everything and by group; the model's mode is put back afterwards."""
        objective = objective.with_groups(len(self.loader.group_names))  # held-out groups differ
        objective.head.forget_casts()
        was_training = model.training
        model.eval()
        own = list(range(self.num_micro_batches))[self.data.rank :: self.data.size]
        # FSDP2 gathers in all of them together: who has one less measures one again, which is not counted
        most = -(-self.num_micro_batches // self.data.size)
        with torch.no_grad(), computing(self.precision, objective.device):
            sums_MG2 = objective.measure([self._micro_batch(index) for index in [*own, 0][:most]])
        model.train(was_training)
        return GroupLosses.of(self.data.add(sums_MG2[: len(own)].sum(dim=0)), self.loader.group_names)

    @property
    def num_micro_batches(self) -> int:
        """How many micro-batches are measured, in all processes together."""
        return -(-self.num_rows // (self.loader.rows_per_step // self.num_micro))

    def _micro_batch(self, index: int) -> tuple[Batch, Targets]:
        weighting: Weighting = "token" if self.weighting == "token" else "target"
        step, micro = divmod(index, self.num_micro)
        batch = self.loader.batch(step, micro=micro, num_micro=self.num_micro)
        return batch, select_targets(batch, weighting)


@dataclass(frozen=True, slots=True)
class Watch:
    """Everything that is measured at a validation.

    Attributes:
        validations: Losses; the first is that of the mixture's held-out examples where there are any.
        measures: Suites.
        precision: What suites are computed in.
        pace: How often.
    """

    pace: Pace
    validations: Sequence[Validation] = ()
    measures: Sequence[Measure] = ()
    precision: Precision = "fp32"

    @property
    def criterion(self) -> str:
        """What checkpoints are chosen by, in words; empty where nothing speaks for one."""
        kinds = sorted({measure.kind for measure in self.measures}, reverse=True)
        if kinds:
            return " and ".join(kinds)
        return f"loss of {self.validations[0].name}" if self.validations else ""

    def __call__(self, model: object, objective: Objective | Pipeline, log: Log, step: int) -> float | None:
        """Measure the model, write one event for each result, and return the model's score.

        The score is higher for better models: the composite of the suites, else the loss with its sign changed; None
        where nothing is measured.
        """
        losses = [self._loss(validation, model, objective, log, step) for validation in self.validations]
        values: dict[Kind, list[float]] = {}
        for measure in self.measures:
            values.setdefault(measure.kind, []).append(self._measure(measure, model, objective, log, step))
        if values:
            return composite(values)
        return -losses[0] if losses else None

    def _loss(
        self, validation: Validation, model: object, objective: Objective | Pipeline, log: Log, step: int
    ) -> float:
        losses = validation(model, objective)
        log.write(
            "validation",
            step,
            group=validation.name,
            loss=round(losses.loss, 6),
            loss_by_cluster=losses.by_cluster,
            loss_by_language=losses.by_language,
        )
        return losses.loss

    def _measure(self, measure: Measure, model: Any, objective: Objective | Pipeline, log: Log, step: int) -> float:
        was_training = model.training
        model.eval()
        with torch.no_grad(), computing(self.precision, objective.device), read_whole(model):
            found = measure(objective.reader)
        model.train(was_training)
        by_task = {task: round(value, 5) for task, value in found.by_task.items()}
        log.write("measure", step, group=measure.name, kind=measure.kind, value=round(found.value, 6), by_task=by_task)
        return found.value


def composite(values: Mapping[Any, Sequence[float]]) -> float:
    """Return the geometric mean over kinds of the mean over the measures of a kind.

    A relative change counts alike in accuracy and in BLEU, whose scales differ. BLOOMZ 176B after 1.04, 2.09 and
    6.27 billion tokens, as published: the second was released::

        accuracy     .520  .525  .532
        BLEU         .138  .160  .102
        composite    .268  .290  .233

    >>> round(composite({"rank": [0.525], "generation": [0.16]}), 3)
    0.29
    """
    means = [max(_FLOOR, sum(part) / len(part)) for part in values.values()]
    return math.prod(means) ** (1 / len(means))
