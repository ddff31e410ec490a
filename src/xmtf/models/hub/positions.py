"""Positions and masks as transformers' models take them, made from segment ids.

Legend: R rows, T new positions, S all positions (those in the cache first).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["index_distances", "segment_positions"]


def segment_positions(segment_ids_RS: Tensor) -> Tensor:
    """Return each position's distance from the start of its segment, int64 ``[R, S]``.

    ::

        segment_ids   0 0 1 1 1 2 2 0
        positions     0 1 0 1 2 0 1 0
    """
    index_S = torch.arange(segment_ids_RS.shape[1], device=segment_ids_RS.device)
    starts_RS = torch.ones_like(segment_ids_RS, dtype=torch.bool)
    starts_RS[:, 1:] = segment_ids_RS[:, 1:] != segment_ids_RS[:, :-1]
    start_index_RS = torch.where(starts_RS, index_S, 0).cummax(dim=1).values
    return index_S - start_index_RS


def index_distances(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """Return how many positions each key is behind its query, int64 ``[1, T, S]``; queries are the last positions.

    Two queries and three keys::

        -1  0  1
        -2 -1  0
    """
    keys_S = torch.arange(num_keys, device=device)
    queries_T1 = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
    return (keys_S - queries_T1)[None]
