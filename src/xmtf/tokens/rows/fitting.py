"""What happens to items that are larger than a row, before anything is packed.

Row of 6 tokens, inputs ``a b c d e f`` and targets ``x y`` (8 tokens)::

    skip             left out, and counted
    truncate_left    c d e f x y
    truncate_right   a b c d x y
    error            ConfigError

Targets of causal rows are never cut: where they alone leave no room for a token of inputs, the item is skipped and
counted. Of encoder-decoder rows they lose what is beyond their side where ``overlong_targets`` is ``truncate``, as T5X
trims features: 2 of ``x y z </s>`` are ``x y``. Begin-of-text tokens and an end-of-text token of the inputs
survive the cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from xmtf.errors import ConfigError

__all__ = ["Fitted", "Overlong", "OverlongTargets", "fit_items"]

Overlong = Literal["skip", "truncate_left", "truncate_right", "error"]
OverlongTargets = Literal["skip", "truncate"]


@dataclass(frozen=True, slots=True)
class Fitted:
    """Items with what is left of their inputs.

    Attributes:
        sizes: int32 ``[sides, items]`` for packing; a skipped item stays too large.
        head: int32 ``[items]``, tokens kept from the beginning of the inputs.
        tail: int32 ``[items]``, tokens kept from the end of the inputs; 0 where nothing was cut.
        target: int32 ``[items]``, tokens kept from the beginning of the targets.
        skipped: Items left out.
        truncated: Items whose inputs were cut.
        cut_targets: Items whose targets were cut.
    """

    sizes: npt.NDArray[np.int32]
    head: npt.NDArray[np.int32]
    tail: npt.NDArray[np.int32]
    target: npt.NDArray[np.int32]
    skipped: int
    truncated: int
    cut_targets: int = 0


def fit_items(
    inputs: npt.NDArray[np.int32],
    targets: npt.NDArray[np.int32],
    capacity: tuple[int, ...],
    overlong: Overlong,
    *,
    overlong_targets: OverlongTargets = "skip",
    keep_first: int = 0,
    keep_last: bool = False,
    where: str = "",
) -> Fitted:
    """Decide about overlong items.

    Args:
        inputs: int32 ``[items]``, tokens of the inputs of each item.
        targets: int32 ``[items]``, tokens of the targets.
        capacity: ``(row,)`` of a causal model, ``(inputs, targets)`` of an encoder-decoder.
        overlong: What to do.
        overlong_targets: What to do with targets of an encoder-decoder that do not fit their side.
        keep_first: How many tokens at the beginning of inputs are begin-of-text tokens.
        keep_last: The last token of inputs is an end-of-text token.
        where: Named in the error, such as the language.

    Raises:
        ConfigError: ``overlong`` is ``error`` and an item does not fit.
    """
    together = len(capacity) == 1
    cut_targets = 0
    if overlong_targets == "truncate" and not together:
        cut_targets = int((targets > capacity[1]).sum())
        targets = np.minimum(targets, np.int32(capacity[1]))
    sizes = (inputs + targets)[None] if together else np.stack([inputs, targets])
    too_large = ~(sizes <= np.array(capacity)[:, None]).all(axis=0)
    head, tail = inputs, np.zeros_like(inputs)
    if overlong == "error" and too_large.any():
        first = int(np.flatnonzero(too_large)[0])
        raise ConfigError(
            f"{where}: {int(too_large.sum())} examples do not fit a row of {' + '.join(map(str, capacity))} tokens, "
            f"the first is item {first} with {inputs[first]} + {targets[first]}; "
            "raise tokens.packing.sequence_length or set another tokens.packing.overlong"
        )
    if overlong not in ("truncate_left", "truncate_right") or not too_large.any():
        return Fitted(sizes, head, tail, targets, int(too_large.sum()), 0, cut_targets)
    room = capacity[0] - targets if together else np.full_like(inputs, capacity[0])
    possible = room >= 1 + keep_first + keep_last
    if not together:
        possible &= targets <= capacity[1]
    cut = too_large & possible
    kept = np.minimum(inputs, room)
    if overlong == "truncate_left":
        head = np.where(cut, np.int32(keep_first), inputs)
        tail = np.where(cut, kept - head, np.int32(0))
    else:
        tail = np.where(cut, np.int32(keep_last), np.int32(0))
        head = np.where(cut, kept - tail, inputs)
    left = head + tail
    sizes = (left + targets)[None] if together else np.stack([left, targets])
    skipped = int((too_large & ~possible).sum())
    return Fitted(sizes, head, tail, targets, skipped, int(cut.sum()), cut_targets)
