"""The loss of a micro-batch: hidden states, then the head at predicted positions alone.

Gradients are accumulated over the micro-batches of a step. The factor of each micro-batch comes from
the whole global batch (:func:`xmtf.training.loss.targets.loss_scales`), so 1 x 8 and 8 x 1 give the same
gradient.

Legend: R rows, T positions, P predicted positions, H hidden size, G groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmtf.training.loss.batches import Batch, is_causal
from xmtf.training.loss.head import Head
from xmtf.training.loss.targets import Targets

__all__ = ["MicroLoss", "Objective"]


@dataclass(frozen=True, slots=True)
class MicroLoss:
    """Sums over one micro-batch, still on the device.

    Attributes:
        rows: fp32 ``[R]``, of each row: weighted sum of negative log-likelihoods times the scale, which is its share of
            the step's loss; z-loss left out.
        groups: fp32 ``[G + 1, 2]``: sum of weight x nll, and of weights, for each group; the last is no group.
    """

    rows: Tensor
    groups: Tensor

    @property
    def loss(self) -> Tensor:
        """All rows' share of the step's loss."""
        return self.rows.sum()


@dataclass(slots=True)
class Objective:
    """What training minimises.

    Attributes:
        model: Model of :mod:`xmtf.models.interface`.
        head: Its output layer.
        num_groups: Groups of (language, cluster) that sums are kept of.
        device: Where the model is.
        prefix_lm: Bidirectional attention over inputs, causal models only.
    """

    model: Any
    head: Head
    num_groups: int
    device: torch.device
    prefix_lm: bool = False

    def __call__(self, batch: Batch, targets: Targets, scale: float, *, backward: bool = True) -> MicroLoss:
        """Compute one micro-batch; with ``backward``, add its gradients to the parameters' ``.grad``.

        Args:
            batch: Rows of either family.
            targets: Its predicted positions.
            scale: Factor of the weighted sum.
            backward: Whether to compute gradients.
        """
        with torch.set_grad_enabled(backward):
            hidden_PH = self.predicting(self.hidden(batch), targets)
        micro, gradient_PH = self.score(hidden_PH, targets, scale, backward=backward)
        if gradient_PH is not None:  # also where nothing is predicted: processes that share weights wait for each other
            with torch.autocast(self.device.type, enabled=False):  # leave the outer one's cache of casts alive
                hidden_PH.backward(gradient_PH)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return micro

    def with_groups(self, num_groups: int) -> Objective:
        """Return the same objective, keeping sums of other groups."""
        return replace(self, num_groups=num_groups)

    def accumulate(
        self, micro_batches: Iterable[tuple[int, tuple[Batch, Targets, float]]]
    ) -> Iterator[tuple[int, MicroLoss]]:
        """Compute micro-batches one after the other, adding up gradients; return each one's index and sums."""
        for index, (batch, targets, scale) in micro_batches:
            yield index, self(batch, targets, scale)

    def predicting(self, hidden_RTH: Tensor, targets: Targets) -> Tensor:
        """Return the hidden states that predict something, ``[P, H]``."""
        return hidden_RTH.flatten(0, 1).index_select(0, self._tensor(targets.positions))

    def score(
        self, hidden_PH: Tensor, targets: Targets, scale: float, *, backward: bool
    ) -> tuple[MicroLoss, Tensor | None]:
        """Return the sums of one micro-batch and, with ``backward``, the loss's gradient ``[P, H]``.

        The head's own gradient is added to its weight here.
        """
        weights_P = self._tensor(targets.loss_weights)
        head = self.head.loss(hidden_PH, self._tensor(targets.labels), weights_P * scale, backward=backward)
        weighted_P = head.nll * weights_P
        rows_R = torch.zeros(targets.num_rows, device=self.device)
        rows_R.index_add_(0, self._tensor(targets.rows), weighted_P * scale)
        return MicroLoss(rows_R, self._group_sums(targets, weighted_P, weights_P)), head.gradient

    def hidden(self, batch: Batch) -> Tensor:
        """Return the hidden states of a batch, ``[R, T, H]``."""
        if is_causal(batch):
            hidden: Tensor = self.model.hidden_states(
                self._tensor(batch.tokens[:, :-1]),
                segment_ids_RT=self._tensor(batch.segment_ids[:, :-1]),
                is_input_RT=self._tensor(batch.is_input[:, :-1]) if self.prefix_lm else None,
            )
            return hidden
        encoder_segments = self._tensor(batch.encoder_segment_ids)
        encoded = self.model.encode(self._tensor(batch.encoder_tokens), segment_ids_RS=encoder_segments)
        decoded: Tensor = self.model.decode(
            self._tensor(batch.decoder_inputs),
            encoded,
            segment_ids_RT=self._tensor(batch.decoder_segment_ids),
            encoder_segment_ids_RS=encoder_segments,
        )
        return decoded

    def _group_sums(self, targets: Targets, weighted_P: Tensor, weights_P: Tensor) -> Tensor:
        sums_G2 = torch.zeros(self.num_groups + 1, 2, device=self.device)
        groups_P = self._tensor(np.where(targets.groups < 0, self.num_groups, targets.groups))
        return sums_G2.index_add_(0, groups_P, torch.stack([weighted_P, weights_P], dim=1))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, non_blocking=True)
