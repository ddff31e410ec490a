"""A BLOOM whose blocks lie in several processes, as those see it that only read it.

Every process asks the same, in the same order. One stage after the other computes, and all get its hidden states;
the last stage's head gives everybody the logits, or sums over them. So each process finds the numbers of one that has
the whole model, in the time of one: while a stage computes, the others wait.

::

    process 0    tokens -> stage 0 ─┐            ┌─ logits
    process 1                       └─ stage 1 ──┴─ logits

Legend: R rows, T positions, H hidden size, P chosen positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from xmtf.models.bloom.model import Bloom
from xmtf.models.interface import Cache
from xmtf.models.layers.cache import DecoderCache
from xmtf.models.layers.cut import OwnVocabulary, own_vocabulary, read_whole

__all__ = ["StagedBloom", "StagedCache"]

Share = Callable[[Tensor, int], Tensor]
"""Gives a tensor of one process, by its number, to all of them, in place."""


@dataclass(frozen=True, slots=True)
class StagedCache:
    """Keys and values of the blocks held here.

    Attributes:
        parts: Of each part of this process, in order.
    """

    parts: tuple[DecoderCache, ...]

    def select(self, rows: Tensor) -> StagedCache:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        return StagedCache(tuple(part.select(rows) for part in self.parts))


class StagedBloom:
    """Follows :class:`xmtf.models.interface.CausalModel`, for evaluation; only its own passes read it.

    Args:
        parts: Stages of this process, in order: stage ``rank``, then each ``size``-th (:meth:`Bloom.part`).
        rank: This process among those that hold stages.
        size: How many there are.
        share: Gives a tensor of one of them to all.
    """

    family: Literal["causal"] = "causal"
    max_positions: int | None = None
    dropout = 0.0
    activation_checkpointing = False
    accumulate_in_place = False
    sliced = True  # only its own passes read it

    def __init__(self, parts: Sequence[Bloom], rank: int, size: int, share: Share) -> None:
        self.vocab_size, self.hidden_size = parts[0].vocab_size, parts[0].hidden_size
        self._parts, self._rank, self._size, self._share = parts, rank, size, share

    def hidden_states(
        self,
        tokens_RT: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        is_input_RT: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Return hidden states after the last norm, ``[R, T, H]``, in every process."""
        assert cache is None or isinstance(cache, StagedCache)
        hidden_RTH = tokens_RT.new_empty(*tokens_RT.shape, self.hidden_size, dtype=self._dtype)
        for stage in range(self._size * len(self._parts)):
            index, holder = divmod(stage, self._size)
            if holder == self._rank:
                part = self._parts[index]
                given = tokens_RT if part.first else hidden_RTH
                remembered = cache.parts[index] if cache is not None and part.blocks() else None
                computed_RTH = part.hidden_states(
                    given, segment_ids_RT=segment_ids_RT, is_input_RT=is_input_RT, cache=remembered
                )
                hidden_RTH = computed_RTH.to(self._dtype).contiguous()
            hidden_RTH = self._share(hidden_RTH, holder)
        return hidden_RTH

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """Return fp32 logits of chosen hidden states, in every process; given ``tokens``, of those only."""
        start, stop, _ = (tokens or slice(None)).indices(self.vocab_size)
        last = self._parts[-1]
        if last.last:
            with read_whole(last):
                logits = last.logits(hidden_PH, slice(start, stop)).float().contiguous()
        else:
            logits = hidden_PH.new_empty(*hidden_PH.shape[:-1], stop - start, dtype=torch.float32)
        return self._share(logits, self._size - 1)

    @property
    def own_vocabulary(self) -> OwnVocabulary:
        """The last stage's part of the vocabulary; what that has added up is given to all, who have none."""
        last = self._parts[-1]
        own = OwnVocabulary(last.logits, slice(0, self.vocab_size if last.last else 0), _alone, _alone)
        if last.last:
            own = own_vocabulary(last) or own

        def given(of: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
            return lambda tensor: self._share(of(tensor), self._size - 1)

        return OwnVocabulary(own.logits, own.tokens, given(own.add), given(own.most))

    def parameters(self) -> Iterator[Tensor]:
        """Return what is held here; the embedding of a process that has both ends twice."""
        return (parameter for part in self._parts for parameter in part.parameters())

    def head_weight(self) -> Tensor:
        """Return the embedding where it is held here, else any parameter: it tells the device and the number format."""
        ends = [part for part in self._parts if part.first or part.last]
        weight: Tensor = ends[0].word_embeddings.weight if ends else next(self.parameters())
        return weight

    def new_cache(self) -> StagedCache:
        """Return an empty cache."""
        return StagedCache(tuple(part.new_cache() for part in self._parts))

    @property
    def _dtype(self) -> torch.dtype:
        """What hidden states are: norms and residual stream are in the format of the weights, under autocast too."""
        return self.head_weight().dtype


def _alone(tensor: Tensor) -> Tensor:
    return tensor
