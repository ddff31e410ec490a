"""What is remembered of prompts that a causal model of transformers has read.

Legend: R rows, T new positions, S all positions (those remembered first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from xmtf.models.layers.cache import joined

__all__ = ["HubCache", "TokenCache"]


@dataclass(slots=True)
class HubCache:
    """Transformers' cache, and who its positions belong to.

    Attributes:
        past: ``DynamicCache``.
        segment_ids: ``[R, S]`` segment ids of the positions remembered, or None for one segment without padding.
        is_input: ``[R, S]``, which of them are inputs of a prefix LM, or None.
    """

    past: Any
    segment_ids: Tensor | None = None
    is_input: Tensor | None = None

    def select(self, rows: Tensor) -> Self:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        pairs = [(layer.keys.index_select(0, rows), layer.values.index_select(0, rows)) for layer in self.past.layers]
        ids_RS, is_input_RS = (
            None if value is None else value.index_select(0, rows) for value in (self.segment_ids, self.is_input)
        )
        return type(self)(type(self.past)(pairs), ids_RS, is_input_RS)

    def extend(self, tokens_RT: Tensor, segment_ids_RT: Tensor | None, is_input_RT: Tensor | None) -> None:
        """Remember whom the new positions belong to, before the model adds them."""
        length = self.past.get_seq_length()
        self.segment_ids = joined(self.segment_ids, segment_ids_RT, tokens_RT, length, 1)
        self.is_input = joined(self.is_input, is_input_RT, tokens_RT, length, False)


@dataclass(slots=True)
class TokenCache:
    """The tokens of positions already read, for networks whose own cache is of no use: they are read again.

    Attributes:
        tokens: ``[R, S]``.
        segment_ids: ``[R, S]``: 1, and 0 for padding.
    """

    tokens: Tensor | None = None
    segment_ids: Tensor | None = None

    def select(self, rows: Tensor) -> Self:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        assert self.tokens is not None
        assert self.segment_ids is not None
        return type(self)(self.tokens.index_select(0, rows), self.segment_ids.index_select(0, rows))

    def extend(self, tokens_RT: Tensor, segment_ids_RT: Tensor | None) -> tuple[Tensor, Tensor]:
        """Remember new positions; return the tokens and segment ids of all."""
        if segment_ids_RT is None:
            segment_ids_RT = torch.ones_like(tokens_RT)
        if self.tokens is None or self.segment_ids is None:
            self.tokens, self.segment_ids = tokens_RT, segment_ids_RT
        else:
            self.tokens = torch.cat([self.tokens, tokens_RT], dim=1)
            self.segment_ids = torch.cat([self.segment_ids, segment_ids_RT], dim=1)
        return self.tokens, self.segment_ids
