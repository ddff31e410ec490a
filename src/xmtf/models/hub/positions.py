"""Positions and masks as transformers' models take them, made from segment ids.

Legend: R rows, T new positions, S all positions (those in the cache first).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["segment_positions", "within_window"]


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


def within_window(num_queries: int, num_keys: int, window: int, device: torch.device) -> Tensor:
    """Return where a key is less than ``window`` positions behind its query, bool ``[1, T, S]``.

    Queries are the last positions. With a window of 2, 3 queries and 3 keys (later keys are not cut here)::

        1 1 1
        1 1 1
        . 1 1
    """
    keys_S = torch.arange(num_keys, device=device)
    queries_T1 = torch.arange(num_keys - num_queries, num_keys, device=device)[:, None]
    return (queries_T1 - keys_S < window)[None]
