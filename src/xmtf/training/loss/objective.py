"""The loss of a micro-batch: hidden states, then the head at predicted positions alone.

Gradients are accumulated over the micro-batches of a step. The factor of each micro-batch comes from
the whole global batch (:func:`xmtf.training.loss.targets.loss_scales`), so 1 x 8 and 8 x 1 give the same
gradient.

Legend: R rows, T positions, P predicted positions, H hidden size, G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xmtf.models.layers.host_copies import remember, to_device
from xmtf.training.loss.batches import Batch, is_causal
from xmtf.training.loss.head import Head
from xmtf.training.loss.targets import Targets

__all__ = ["MicroLoss", "Objective", "Predicted", "arguments_of", "remembered"]


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


@dataclass(frozen=True, slots=True)
class Predicted:
    """Predicted positions of a micro-batch on the device: as :class:`xmtf.training.loss.targets.Targets`.

    Attributes:
        positions: int64 ``[P]``.
        labels: int64 ``[P]``.
        loss_weights: fp32 ``[P]``.
        rows: int64 ``[P]``.
        groups: int64 ``[P]``; those without a group have the number of groups.
        num_rows: Rows of the batch.
    """

    positions: Tensor
    labels: Tensor
    loss_weights: Tensor
    rows: Tensor
    groups: Tensor
    num_rows: int


@dataclass(slots=True)
class Objective:
    """What training minimises.

    Attributes:
        model: Model of :mod:`xmtf.models.interface`.
        head: Its output layer.
        num_groups: Groups of (language, cluster) that sums are kept of.
        device: Where the model is.
        prefix_lm: Bidirectional attention over inputs, causal models only.
        before_backward: Called before each micro-batch of a step, with whether it is the last.
    """

    model: Any
    head: Head
    num_groups: int
    device: torch.device
    prefix_lm: bool = False
    before_backward: Callable[[bool], None] = lambda last: None

    def __call__(self, batch: Batch, targets: Targets, scale: float, *, backward: bool = True) -> MicroLoss:
        """Compute one micro-batch; with ``backward``, add its gradients to the parameters' ``.grad``.

        Args:
            batch: Rows of either family.
            targets: Its predicted positions.
            scale: Factor of the weighted sum.
            backward: Whether to compute gradients.
        """
        rows, chosen = self.on_device(batch, targets)
        with torch.set_grad_enabled(backward):
            hidden_PH = self.predicting(self.hidden(rows), chosen)
        micro, gradient_PH = self.score(hidden_PH, chosen, scale, backward=backward)
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
        items = list(micro_batches)
        for number, (index, (batch, targets, scale)) in enumerate(items, start=1):
            self.before_backward(number == len(items))
            yield index, self(batch, targets, scale)

    def measure(self, micro_batches: Sequence[tuple[Batch, Targets]]) -> Tensor:
        """Return the sums by group of each micro-batch, ``[M, G + 1, 2]``, without gradients."""
        groups = [self(batch, targets, 1.0, backward=False).groups for batch, targets in micro_batches]
        return torch.stack(groups) if groups else torch.zeros(0, self.num_groups + 1, 2, device=self.device)

    @property
    def reader(self) -> Any:
        """What suites ask: a model of :mod:`xmtf.models.interface`."""
        return self.model

    def on_device(self, batch: Batch, targets: Targets) -> tuple[dict[str, Tensor], Predicted]:
        """Return a micro-batch on the device, by one copy: rows as the model's arguments, and what is predicted."""
        arrays = arguments_of(batch, self.prefix_lm)
        *sent, positions, labels, weights, rows, groups = to_device(
            [*arrays.values(), *_of_targets(targets, self.num_groups)], self.device
        )
        chosen = Predicted(positions, labels, weights, rows, groups, targets.num_rows)
        return remembered(arrays, sent), chosen

    def predicting(self, hidden_RTH: Tensor, targets: Predicted) -> Tensor:
        """Return the hidden states that predict something, ``[P, H]``."""
        return hidden_RTH.flatten(0, 1).index_select(0, targets.positions)

    def score(
        self, hidden_PH: Tensor, targets: Predicted, scale: float, *, backward: bool
    ) -> tuple[MicroLoss, Tensor | None]:
        """Return the sums of one micro-batch and, with ``backward``, the loss's gradient ``[P, H]``.

        The head's own gradient is added to its weight here.
        """
        weights_P = targets.loss_weights
        head = self.head.loss(hidden_PH, targets.labels, weights_P * scale, backward=backward)
        weighted_P = head.nll * weights_P
        rows_R = torch.zeros(targets.num_rows, device=self.device)
        rows_R.index_add_(0, targets.rows, weighted_P * scale)
        sums_G2 = torch.zeros(self.num_groups + 1, 2, device=self.device)
        sums_G2.index_add_(0, targets.groups, torch.stack([weighted_P, weights_P], dim=1))
        return MicroLoss(rows_R, sums_G2), head.gradient

    def hidden(self, rows: dict[str, Tensor]) -> Tensor:
        """Return the hidden states of rows on the device, ``[R, T, H]``."""
        rows = dict(rows)
        if "encoder_tokens" not in rows:
            hidden: Tensor = self.model.hidden_states(rows.pop("tokens_RT"), **rows)
            return hidden
        encoder_segments = rows["encoder_segment_ids_RS"]
        encoded = self.model.encode(rows["encoder_tokens"], segment_ids_RS=encoder_segments)
        decoded: Tensor = self.model.decode(
            rows["decoder_inputs"],
            encoded,
            segment_ids_RT=rows["segment_ids_RT"],
            encoder_segment_ids_RS=encoder_segments,
        )
        return decoded


def remembered(arrays: dict[str, NDArray[Any]], sent: Sequence[Tensor]) -> dict[str, Tensor]:
    """Return what was sent by name; segment ids, which decide shapes, stay known to the host."""
    for array, tensor, name in zip(arrays.values(), sent, arrays, strict=True):
        if "segment_ids" in name:
            remember(tensor, array)
    return dict(zip(arrays, sent, strict=True))


def arguments_of(batch: Batch, prefix_lm: bool) -> dict[str, NDArray[Any]]:
    """Return what a model takes of a batch, by the names of its arguments."""
    if is_causal(batch):
        found: dict[str, NDArray[Any]] = {
            "tokens_RT": batch.tokens[:, :-1],
            "segment_ids_RT": batch.segment_ids[:, :-1],
        }
        return found | ({"is_input_RT": batch.is_input[:, :-1]} if prefix_lm else {})
    return {
        "encoder_tokens": batch.encoder_tokens,
        "encoder_segment_ids_RS": batch.encoder_segment_ids,
        "decoder_inputs": batch.decoder_inputs,
        "segment_ids_RT": batch.decoder_segment_ids,
    }


def _of_targets(targets: Targets, num_groups: int) -> list[NDArray[Any]]:
    """Return the arrays of :class:`Predicted`, in order; no group is the last."""
    groups = np.where(targets.groups < 0, num_groups, targets.groups)
    return [targets.positions, targets.labels, targets.loss_weights, targets.rows, groups]
