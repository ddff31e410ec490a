"""Useful operations of a step, and the device's peak: what MFU is made of.

MFU is the share of the device's peak that useful operations take: products with weights at all
positions, attention inside segments, the head at predicted positions; recomputation does not count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from xmtf.models import ModelSize
from xmtf.parallel.topology.gpus import PEAKS
from xmtf.training.loop.step import GlobalBatch
from xmtf.training.loss.batches import Batch, is_causal
from xmtf.training.numerics.precision import Precision, compute_dtype, computing

__all__ = ["Meter", "attended_pairs", "peak_flops"]


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts the useful operations of steps.

    Attributes:
        size: Parameters of the model by kind.
        peak: Operations a second of the device, see :func:`peak_flops`.
    """

    size: ModelSize
    peak: float

    def flops(self, batch: GlobalBatch) -> float:
        """Return the useful operations of one step."""
        return sum(
            self._of_rows(rows, len(targets.positions))
            for rows, targets in zip(batch.batches, batch.targets, strict=True)
        )

    def mfu(self, flops: float, seconds: float) -> float:
        """Return the share of the peak that ``flops`` in ``seconds`` are."""
        return flops / max(seconds, 1e-9) / self.peak

    def _of_rows(self, batch: Batch, scored: int) -> float:
        if is_causal(batch):
            segments = batch.segment_ids[:, :-1]
            pairs = attended_pairs(segments, segments, causal=True)
            return self.size.training_flops(segments.size, scored=scored, attended=pairs / segments.size)
        encoder, decoder = batch.encoder_segment_ids, batch.decoder_segment_ids
        own = attended_pairs(decoder, decoder, causal=True)
        cross = attended_pairs(decoder, encoder, causal=False)
        return self.size.training_flops(
            decoder.size,
            scored=scored,
            attended=(own + cross) / 2 / decoder.size,
            encoder_positions=encoder.size,
            encoder_attended=attended_pairs(encoder, encoder, causal=False) / encoder.size,
        )


def attended_pairs(queries: NDArray[np.int32], keys: NDArray[np.int32], *, causal: bool) -> int:
    """Return how many (query, key) pairs attention allows, all rows together.

    Segments of 3 and 2 positions, causal: 1 + 2 + 3 and 1 + 2::

        segment_ids   1 1 1 2 2 0
        pairs         1 2 3 1 2 .     9

    Args:
        queries: Segment ids ``[R, T]``, 0 is padding.
        keys: Segment ids ``[R, S]``.
        causal: Keys after the query do not count; ``keys`` are the queries.
    """
    most = int(max(queries.max(initial=0), keys.max(initial=0)))
    of_queries, of_keys = _lengths(queries, most), _lengths(keys, most)
    pairs = of_queries * (of_queries + 1) // 2 if causal else of_queries * of_keys
    return int(pairs.sum())


def _lengths(segments: NDArray[np.int32], most: int) -> NDArray[np.int64]:
    """Return the length of each segment, ``[R, most]``."""
    keys = np.arange(len(segments))[:, None] * (most + 1) + segments
    return np.bincount(keys.ravel(), minlength=len(segments) * (most + 1)).reshape(len(segments), most + 1)[:, 1:]


def peak_flops(device: torch.device, precision: Precision) -> float:
    """Return the operations a second that matrix products reach at best on a device.

    Known cards in bf16 count by their data sheet. Everything else is measured with products of 1,024 x 1,024 in
    about a tenth of a second, on as many threads as training uses and computed as training computes them.
    """
    dtype = compute_dtype(precision)
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        known = [peak for card, peak in PEAKS.items() if card in name]
        if known:
            return known[0]
    with computing(precision, device):
        return _measured(device, dtype)


def _measured(device: torch.device, dtype: torch.dtype, size: int = 1024, tries: int = 4) -> float:
    left, right = (torch.ones(size, size, device=device, dtype=dtype) for _ in range(2))
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        product = left @ right
        product[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)
