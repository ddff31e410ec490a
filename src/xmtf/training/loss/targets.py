"""Which positions are predicted, and how much each counts.

Only target tokens carry loss. Everything here is numpy on the CPU: the positions are known before the
model runs, so the head is computed for them alone and no device has to be asked how many there are.

Shapes: R rows, T positions of a row, P predicted positions, K most segments in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmtf.errors import ConfigError
from xmtf.training.loss.batches import Batch, CausalRows, EncoderDecoderRows, is_causal

__all__ = ["Targets", "Weighting", "causal_targets", "decoder_targets", "loss_scales", "select_targets"]

Weighting = Literal["target", "token", "target_compat"]


@dataclass(frozen=True, slots=True)
class Targets:
    """Predicted positions of one micro-batch, row after row.

    Attributes:
        positions: int64 ``[P]``, index into the flattened ``[R * T]`` positions of the model.
        labels: int64 ``[P]``, the token to predict there.
        loss_weights: float32 ``[P]``, weight before division by the denominator.
        groups: int64 ``[P]``, index of the (language, cluster) group, -1 where there is none.
        rows: int64 ``[P]``, row of the batch.
        denominator: Sum of ``loss_weights``: the number of targets, or of tokens with weighting ``token``.
        num_rows: Rows of the batch.
        num_targets: Targets with at least one predicted token.
        num_real: Positions that are not padding, inputs included; at most ``num_positions``.
        num_positions: Positions that the model computes, padding included.
    """

    positions: NDArray[np.int64]
    labels: NDArray[np.int64]
    loss_weights: NDArray[np.float32]
    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    denominator: float
    num_rows: int
    num_targets: int
    num_real: int
    num_positions: int


def select_targets(batch: Batch, weighting: Weighting) -> Targets:
    """Return the predicted positions of a batch of either family."""
    return causal_targets(batch, weighting) if is_causal(batch) else decoder_targets(batch, weighting)


def causal_targets(batch: CausalRows, weighting: Weighting) -> Targets:
    """Return what a causal model predicts: every target token, from the position before it.

    A row of 7 tokens gives 6 positions; position p predicts token p + 1::

        tokens        6 7 8 3 4 5 P
        segment_ids   1 1 1 2 2 2 0
        is_input      1 1 0 1 1 0 0
        positions       1     4         predict 8 and 5
        labels          8     5

    Position 2 would predict token 3, an input of the next example, and position 5 padding: no loss. Each answer of a
    conversation is its own target::

        tokens        6 7 8 9 3 4 5
        segment_ids   1 1 1 1 1 1 1
        turns         0 0 1 1 0 2 2
        weights         ½ ½     ½ ½        two targets

    Args:
        batch: Rows with ``tokens``, ``segment_ids``, ``is_input`` ``[R, T + 1]`` and ``groups`` ``[R, K]``.
        weighting: ``target`` gives each token 1 / (tokens of its target), ``token`` gives 1, ``target_compat``
            1 / (length of its run in the flattened micro-batch), as BLOOMZ computed it: where a row is filled to
            its end and the next row begins with an input of one token, the two targets count as one.
    """
    segments = batch.segment_ids[:, 1:]
    mask = ~batch.is_input[:, 1:] & (segments != 0) & (batch.segment_ids[:, :-1] == segments)
    num_real = int(np.count_nonzero(batch.segment_ids[:, :-1]))  # the last token is predicted, and is no position
    if weighting == "target_compat":
        return _gather(batch.tokens[:, 1:], segments, mask, batch.groups, num_real, _run_weights(mask))
    turns = getattr(batch, "turns", None)  # other rows than ours, such as plain text's, have none
    numbers = segments if turns is None else _numbered(segments, turns[:, 1:])
    return _gather(batch.tokens[:, 1:], segments, mask, batch.groups, num_real, weighting, numbers)


def decoder_targets(batch: EncoderDecoderRows, weighting: Weighting) -> Targets:
    """Return what a decoder predicts: every target token, at its own position.

    The decoder's inputs are the targets shifted right inside each segment::

        decoder_targets       8 9 1 5 1 P
        decoder_inputs        0 8 9 0 5 P
        decoder_segment_ids   1 1 1 2 2 0
        positions             0 1 2 3 4
        weights (target)      ⅓ ⅓ ⅓ ½ ½

    Raises:
        ConfigError: Weighting ``target_compat``, which describes rows where inputs are between targets.
    """
    if weighting == "target_compat":
        raise ConfigError(
            "training.loss: `target_compat` is BLOOMZ's weighting of causal rows; for an encoder-decoder use "
            "`target`, mT0's average per sequence"
        )
    segments = batch.decoder_segment_ids
    num_real = int(np.count_nonzero(segments)) + int(np.count_nonzero(batch.encoder_segment_ids))
    targets = _gather(batch.decoder_targets, segments, segments != 0, batch.groups, num_real, weighting)
    return replace(targets, num_positions=batch.encoder_segment_ids.size + segments.size)


def loss_scales(targets: Sequence[Targets], weighting: Weighting) -> list[float]:
    """Return the factor of each micro-batch's weighted sum, so that the sum over all is the loss.

    ``target`` and ``token`` divide by the denominator of the global batch, so the gradient is the same however the
    rows are cut into micro-batches; ``target_compat`` takes the mean within each micro-batch, then over them. A
    micro-batch that predicts nothing counts nothing.
    """
    if weighting == "target_compat":
        return [1.0 / (len(targets) * part.denominator) if part.denominator else 0.0 for part in targets]
    total = sum(part.denominator for part in targets)
    return [1.0 / total if total else 0.0] * len(targets)


def _gather(
    labels: NDArray[np.int64],
    segments: NDArray[np.int32],
    mask: NDArray[np.bool_],
    groups: NDArray[np.int32],
    num_real: int,
    weighting: Weighting | NDArray[np.float32],
    numbers: NDArray[np.int32] | None = None,
) -> Targets:
    """Return the targets of masked positions; those of one number (default: one segment) in a row are one target."""
    rows, columns = np.nonzero(mask)
    segment = segments[rows, columns]
    numbers = segments if numbers is None else numbers
    key = rows * (int(numbers.max(initial=0)) + 1) + numbers[rows, columns]
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    if isinstance(weighting, np.ndarray):
        weights = weighting
        denominator = float(weights.sum(dtype=np.float64))
    elif weighting == "token":
        weights = np.ones(len(rows), np.float32)
        denominator = float(len(rows))
    else:
        weights = (1.0 / counts[inverse]).astype(np.float32)
        denominator = float(len(counts))
    return Targets(
        positions=rows * mask.shape[1] + columns,
        labels=labels[rows, columns],
        loss_weights=weights,
        groups=groups[rows, segment - 1].astype(np.int64),
        rows=rows,
        denominator=denominator,
        num_rows=len(mask),
        num_targets=len(counts),
        num_real=num_real,
        num_positions=mask.size,
    )


def _numbered(segments: NDArray[np.int32], turns: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Return a number for each stretch of one segment and one turn, ``[R, T]``, ascending in each row."""
    changes = (np.diff(segments, axis=1) != 0) | (np.diff(turns.astype(np.int32), axis=1) != 0)
    numbers = np.zeros(segments.shape, np.int32)
    np.cumsum(changes, axis=1, out=numbers[:, 1:])
    return numbers


def _run_weights(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return 1 / length of the run of ones that each masked entry of the flattened mask is in."""
    flat = np.concatenate(([False], mask.ravel(), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = edges[1::2] - edges[::2]
    return np.repeat(1.0 / lengths, lengths).astype(np.float32)
