"""Where hidden states enter matrices that tensor parallelism slices.

A block calls its ``entering`` on what several of its matrices read. It gives the tensor back unchanged; where a matrix
is sliced over processes :mod:`xmtf.training.parallel.tensor_parallel` puts there what adds up the gradient, once for
all matrices that read it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

__all__ = ["Entering", "unchanged"]

Entering: TypeAlias = Callable[[Tensor], Tensor]


def unchanged(hidden: Tensor) -> Tensor:
    """Return hidden states as they are."""
    return hidden
