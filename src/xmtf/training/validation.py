"""Loss on rows that are never trained on: the same rows each time, so that curves can be compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from xmtf.training.batches import RowLoader
from xmtf.training.events import GroupLosses
from xmtf.training.objective import Objective
from xmtf.training.precision import Precision, computing
from xmtf.training.targets import Weighting, select_targets

__all__ = ["Validation"]


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
    """

    name: str
    loader: RowLoader
    num_micro: int
    num_rows: int
    weighting: Weighting
    precision: Precision

    def __call__(self, model: Any, objective: Objective) -> GroupLosses:
        """Return mean losses, over everything and by group; the model's mode is put back afterwards."""
        objective = replace(objective, num_groups=len(self.loader.group_names))  # held-out groups differ
        objective.head.forget_casts()
        was_training = model.training
        model.eval()
        sums_G2 = torch.zeros(len(self.loader.group_names) + 1, 2, device=objective.device)
        per_micro = self.loader.rows_per_step // self.num_micro
        weighting: Weighting = "token" if self.weighting == "token" else "target"
        with torch.no_grad(), computing(self.precision, objective.device):
            for index in range(-(-self.num_rows // per_micro)):
                step, micro = divmod(index, self.num_micro)
                batch = self.loader.batch(step, micro=micro, num_micro=self.num_micro)
                sums_G2 += objective(batch, select_targets(batch, weighting), 1.0, backward=False).groups
        model.train(was_training)
        return GroupLosses.of(sums_G2, self.loader.group_names)
