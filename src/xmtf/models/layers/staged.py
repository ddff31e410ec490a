"""A causal model whose blocks lie in several processes, as those see it that only read it.

Every process asks the same, in the same order. One stage after the other computes, and all get its hidden states;
the last stage's head gives everybody the logits, or sums over them. So each process finds the numbers of one that has
the whole model, in the time of one: while a stage computes, the others wait.

::

    process 0    tokens -> stage 0 ─┐            ┌─ logits
    process 1                       └─ stage 1 ──┴─ logits

Legend: R rows, T positions, H hidden size, P chosen positions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from xmtf.models.interface import Cache
from xmtf.models.layers.cut import OwnVocabulary, own_vocabulary, read_whole

__all__ = ["Stage", "StagedCache", "StagedModel", "twin_of"]

T = TypeVar("T", bound=nn.Module)
Share = Callable[[Tensor, int], Tensor]
"""Gives a tensor of one process, by its number, to all of them, in place."""


@dataclass(frozen=True, slots=True)
class StagedCache:
    """Keys and values of the blocks held here.

    Attributes:
        parts: Of each part of this process, in order.
    """

    parts: tuple[Cache, ...]

    def select(self, rows: Tensor) -> StagedCache:
        """Return the cache of the chosen rows, int64 ``[R2]``; a row may be chosen often."""
        return StagedCache(tuple(part.select(rows) for part in self.parts))


class Stage(Protocol):
    """Consecutive blocks of a causal model, with the embedding before or norm and head behind them at its ends."""

    first: bool
    last: bool
    vocab_size: int
    hidden_size: int
    max_positions: int | None

    @property
    def num_blocks(self) -> int:
        """How many blocks it holds."""

    def hidden_states(
        self,
        tokens_RT: Tensor,
        *,
        segment_ids_RT: Tensor | None = None,
        is_input_RT: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """Return its hidden states; if it is not the first, ``tokens_RT`` are those of the stage before."""
        ...

    def logits(self, hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        """As of :class:`xmtf.models.interface.CausalModel`, of the last."""
        ...

    def tables(self) -> list[Tensor]:
        """Return embedding and head, those that are held here, each once."""
        ...

    def parameters(self) -> Iterator[Tensor]:
        """As of ``torch.nn.Module``."""
        ...

    def new_cache(self) -> Cache:
        """Return an empty cache."""
        ...


def twin_of(module: T) -> T:
    """Return a module that shares parameters, buffers and modules with another, until one of these is replaced."""
    twin = copy.copy(module)
    for kind in ("_modules", "_parameters", "_buffers"):
        setattr(twin, kind, dict(getattr(module, kind)))
    return twin


class StagedModel:
    """Follows :class:`xmtf.models.interface.CausalModel`, for evaluation; only its own passes read it.

    Args:
        parts: Stages of this process, in order: stage ``rank``, then each ``size``-th.
        rank: This process among those that hold stages.
        size: How many there are.
        share: Gives a tensor of one of them to all.
    """

    family: Literal["causal"] = "causal"
    dropout = 0.0
    activation_checkpointing = False
    accumulate_in_place = False
    sliced = True  # only its own passes read it

    def __init__(self, parts: Sequence[Stage], rank: int, size: int, share: Share) -> None:
        self.vocab_size, self.hidden_size = parts[0].vocab_size, parts[0].hidden_size
        self.max_positions = parts[0].max_positions
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
                remembered = cache.parts[index] if cache is not None and part.num_blocks else None
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
        """Return a table of tokens where one is held here, else any parameter: it tells device and number format."""
        return next((table for part in self._parts for table in part.tables()), next(self.parameters()))

    def new_cache(self) -> StagedCache:
        """Return an empty cache."""
        return StagedCache(tuple(part.new_cache() for part in self._parts))

    @property
    def _dtype(self) -> torch.dtype:
        """What hidden states are: norms and residual stream are fp32 under autocast, else as the weights are."""
        weight = self.head_weight()
        return torch.float32 if torch.is_autocast_enabled(weight.device.type) else weight.dtype


def _alone(tensor: Tensor) -> Tensor:
    return tensor
