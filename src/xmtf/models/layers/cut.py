"""Models whose weights are spread over processes, as those see them that only read them.

A sliced model gives the logits of its own rows of the head, as training wants them. While it is :func:`read_whole`, it
gives those of the whole vocabulary, put together from all processes; what needs only sums over the vocabulary computes
those of its own tokens (:func:`own_vocabulary`) and exchanges the sums. What reads blocks otherwise than through the
model's own passes (trees, rows without padding) does not know of slices, nor are FSDP2's shards gathered for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from xmtf.models.interface import Model

__all__ = [
    "OwnVocabulary",
    "cut_fault",
    "held_numbers",
    "keep_whole",
    "know_whole_logits",
    "own_vocabulary",
    "read_whole",
]

_WHOLE = "whole_logits"
_OWN = "own_vocabulary"


@dataclass(frozen=True, slots=True)
class OwnVocabulary:
    """The tokens whose logits a process computes, of a vocabulary that is spread over several.

    Attributes:
        logits: Returns logits of chosen hidden states, of a range of its own rows of the head.
        tokens: Which of the vocabulary its rows are.
        add: Adds up a tensor over the processes, in place.
        most: Takes the greatest of each number over the processes, in place.
    """

    logits: Callable[[Tensor, slice], Tensor]
    tokens: slice
    add: Callable[[Tensor], Tensor]
    most: Callable[[Tensor], Tensor]


def own_vocabulary(model: object) -> OwnVocabulary | None:
    """Return this process's share of a vocabulary that is spread over several, or None where each has the whole."""
    own: OwnVocabulary | None = getattr(model, _OWN, None)
    return own


def cut_fault(model: Model) -> str | None:
    """Return why only a model's own passes read it, or None where it is whole."""
    if getattr(model, "sliced", False):
        return "its weights are sliced, which only its own passes know"
    parameters = model.parameters() if isinstance(model, nn.Module) else ()
    if any(hasattr(parameter, "device_mesh") for parameter in parameters):
        return "its weights are sharded and gathered layer by layer, which only its own passes do"
    return None


def know_whole_logits(model: nn.Module, own: OwnVocabulary, num_rows: int) -> None:
    """Tell a sliced model how the logits of the whole vocabulary are computed, in every process alike.

    ::

        process 0    l0 l1  0  0   ─┐
        process 1     0  0 l2 l3   ─┴ added up: l0 l1 l2 l3

    Args:
        model: The sliced model.
        own: This process's share.
        num_rows: Of the whole.
    """

    def logits(hidden_PH: Tensor, tokens: slice | None = None) -> Tensor:
        start, stop, _ = (tokens or slice(None)).indices(num_rows)
        begin = own.tokens.start
        first, last = max(start, begin), min(stop, own.tokens.stop)
        part = own.logits(hidden_PH, slice(max(0, first - begin), max(0, last - begin)))
        whole = torch.zeros(*part.shape[:-1], stop - start, dtype=part.dtype, device=part.device)
        if last > first:
            whole[..., first - start : last - start] = part
        return own.add(whole)

    setattr(model, "sliced", True)  # noqa: B010 - a model of either family
    setattr(model, _WHOLE, logits)
    setattr(model, _OWN, own)


def keep_whole(model: object) -> bool:
    """Let a sliced model's ``logits`` be those of the whole vocabulary; all processes read the same.

    Returns:
        Whether that changed anything: it is sliced, and was not read whole already.
    """
    whole = getattr(model, _WHOLE, None) if "logits" not in vars(model) else None
    if whole is not None:
        setattr(model, "logits", whole)  # noqa: B010 - covers the method of its class
    return whole is not None


@contextmanager
def read_whole(model: object) -> Iterator[None]:
    """Let a sliced model's ``logits`` be those of the whole vocabulary, for the block (:func:`keep_whole`)."""
    changed = keep_whole(model)
    try:
        yield
    finally:
        if changed:
            delattr(model, "logits")


def held_numbers(parameters: Iterable[Tensor]) -> int:
    """Return how many numbers of parameters this process holds: of slices and shards its own."""
    return sum(_local(parameter).numel() for parameter in parameters)


def _local(parameter: Any) -> Tensor:
    local: Tensor = parameter.to_local() if hasattr(parameter, "to_local") else parameter
    return local
