"""T5's position bias: one learned number per head and bucket of distances.

Legend: N heads, T query positions, S key positions, B buckets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["RelativeBias", "relative_buckets"]


def relative_buckets(distances: Tensor, *, bidirectional: bool, num_buckets: int, max_distance: int) -> Tensor:
    """Return the bucket of each distance ``key - query`` (Raffel et al. 2020, section 2.1).

    Half of the buckets hold one distance each, the others grow logarithmically up to ``max_distance``.
    Bidirectionally, the upper half of all buckets is for keys behind the query::

        distance                  -200  -16   -2   -1    0    1    2   16
        bidirectional, 32 of 128    15   10    2    1    0   17   18   26
        causal, 32 of 128           31   16    2    1    0    0    0    0
    """
    if bidirectional:
        num_buckets //= 2
        first = (distances > 0).long() * num_buckets
        distances = distances.abs()
    else:
        first = torch.zeros_like(distances)
        distances = -distances.clamp(max=0)
    exact = num_buckets // 2
    growth = torch.log(distances.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    logarithmic = (exact + (growth * (num_buckets - exact)).long()).clamp(max=num_buckets - 1)
    return first + torch.where(distances < exact, distances, logarithmic)


class RelativeBias(nn.Module):
    """The learned bias of one stack, shared by all its layers."""

    def __init__(self, num_buckets: int, max_distance: int, num_heads: int, *, bidirectional: bool) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.weight = nn.Parameter(torch.empty(num_buckets, num_heads))

    def forward(self, num_queries: int, num_keys: int) -> Tensor:
        """Return the bias ``[N, T, S]``; the queries are the last positions."""
        device = self.weight.device
        keys_S = torch.arange(num_keys, device=device)
        queries_T1 = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
        return self._by_distance(num_keys)[:, (keys_S - queries_T1) + num_keys - 1]

    def squares(self, lengths: Sequence[int]) -> list[Tensor]:
        """Return the biases ``[N, L, L]`` of documents of these lengths."""
        longest = max(lengths)
        by_distance_N = self._by_distance(longest)
        # A query's row is the row of the query behind it, moved by one distance: windows, the last query's first.
        return [
            by_distance_N[:, longest - length : longest + length - 1].unfold(1, length, 1).flip(1) for length in lengths
        ]

    def _by_distance(self, num_keys: int) -> Tensor:
        """Return the bias of the distances ``1 - S`` to ``S - 1``, ``[N, 2 S - 1]``: every diagonal has one bucket."""
        distances = torch.arange(1 - num_keys, num_keys, device=self.weight.device)
        buckets = relative_buckets(
            distances,
            bidirectional=self.bidirectional,
            num_buckets=len(self.weight),
            max_distance=self.max_distance,
        )
        return self.weight[buckets].T.contiguous()
