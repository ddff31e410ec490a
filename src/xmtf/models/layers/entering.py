"""Where states that several blocks read enter matrices that tensor parallelism slices.

The blocks of a decoder all read the encoder's states. ``entering`` gives them back unchanged; where matrices are
sliced over processes :mod:`xmtf.parallel.tensor_parallel` puts there what adds up their gradient, once for all
blocks.
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
