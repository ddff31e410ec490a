"""The loss of a micro-batch: hidden states, then the head at predicted positions alone.

Gradients are accumulated over the micro-batches of a step. The factor of each micro-batch comes from
the whole global batch (:func:`xmtf.training.targets.loss_scales`), so 1 x 8 and 8 x 1 give the same
gradient.

Legend: R rows, T positions, P predicted positions, H hidden size, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmtf.training.batches import Batch, is_causal
from xmtf.training.head import Head
from xmtf.training.targets import Targets

__all__ = ["MicroLoss", "Objective"]


@dataclass(frozen=True, slots=True)
class MicroLoss:
    """Sums over one micro-batch, still on the device.

    Attributes:
        loss: Weighted sum of negative log-likelihoods times the scale: its share of the step's loss, z-loss left out.
        groups: fp32 ``[G + 1, 2]``: sum of weight x nll, and of weights, for each group; the last is no group.
    """

    loss: Tensor
    groups: Tensor


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
        weights_P = self._tensor(targets.weights)
        labels_P = self._tensor(targets.labels)
        with torch.set_grad_enabled(backward):
            hidden_PH = self._hidden(batch).flatten(0, 1).index_select(0, self._tensor(targets.positions))
        head = self.head.loss(hidden_PH, labels_P, weights_P * scale, backward=backward)
        if head.gradient is not None and len(labels_P):
            with torch.autocast(self.device.type, enabled=False):  # leave the outer one's cache of casts alive
                hidden_PH.backward(head.gradient)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        weighted_P = head.nll * weights_P
        return MicroLoss(weighted_P.sum() * scale, self._group_sums(targets, weighted_P, weights_P))

    def _hidden(self, batch: Batch) -> Tensor:
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
