"""Packed rows as arrays: what training reads.

A causal row of 8 tokens with two segments, inputs ``5 6`` / target ``7 1`` and inputs ``8`` / target ``9 1``::

    tokens        5 6 7 1 8 9 1 0
    segment_ids   1 1 1 1 2 2 2 0
    is_input      1 1 0 0 1 0 0 0

A conversation's inputs end with its first answer; what is between its answers is not learnt either::

    tokens        5 6 7 1 5 8 7 1      5 6 <question> 7 1 <answer> 5 8 <question> 7 1 <answer>
    segment_ids   1 1 1 1 1 1 1 1
    is_input      1 1 0 0 1 1 0 0
    turns         0 0 1 1 0 0 2 2

The same pairs as an encoder-decoder row of 4 and 5 tokens; the decoder starts every segment with 0::

    encoder_tokens       5 6 8 0      decoder_inputs       0 7 0 9 0
    encoder_segment_ids  1 1 2 0      decoder_targets      7 1 9 1 0
                                      decoder_segment_ids  1 1 2 2 0
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xmtf.tokens.store.store import TokenStore

__all__ = ["CausalBatch", "EncoderDecoderBatch", "Pair", "Segments", "causal_batch", "encoder_decoder_batch"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CausalBatch:
    """Packed rows for a causal model. One token more than the model reads, so that labels are the row shifted by one.

    Attributes:
        tokens: int64 ``[R, S + 1]``.
        segment_ids: int32 ``[R, S + 1]``, 1-based in each row, 0 is padding.
        is_input: bool ``[R, S + 1]``, False on targets and padding.
        groups: int32 ``[R, K]``, index in ``Loader.group_names`` of segment ``k + 1``, -1 where there is none.
        turns: uint8 ``[R, S + 1]``, where there are conversations: 0 on what is not learnt, 1 and 2 in turn on the
            answers of a conversation, each of which is its own target; None: each segment has one target.
    """

    tokens: Ints
    segment_ids: npt.NDArray[np.int32]
    is_input: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.int32]
    turns: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class EncoderDecoderBatch:
    """Packed rows for an encoder-decoder; segment ids pair the two sides.

    Attributes:
        encoder_tokens: int64 ``[R, S]``.
        encoder_segment_ids: int32 ``[R, S]``, 1-based in each row, 0 is padding.
        decoder_inputs: int64 ``[R, T]``, targets shifted right within each segment.
        decoder_targets: int64 ``[R, T]``.
        decoder_segment_ids: int32 ``[R, T]``.
        groups: int32 ``[R, K]``, as in :class:`CausalBatch`.
    """

    encoder_tokens: Ints
    encoder_segment_ids: npt.NDArray[np.int32]
    decoder_inputs: Ints
    decoder_targets: Ints
    decoder_segment_ids: npt.NDArray[np.int32]
    groups: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pair:
    """The stores of one language; masks, as long as the targets, where it has conversations."""

    inputs: TokenStore
    targets: TokenStore
    masks: TokenStore | None = None


@dataclass(frozen=True, slots=True)
class Segments:
    """All segments of some rows, row by row; int64 ``[segments]`` each.

    Attributes:
        row: Row that the segment is in, ascending.
        pair: Which pair of stores it comes from.
        item: Its item there.
        head: Tokens taken from the beginning of its inputs.
        tail: Tokens taken from the end of its inputs.
        target: Tokens taken from the beginning of its targets.
        group: Its group.
    """

    row: Ints
    pair: Ints
    item: Ints
    head: Ints
    tail: Ints
    target: Ints
    group: Ints


def causal_batch(segments: Segments, pairs: Sequence[Pair], num_rows: int, length: int, pad: int) -> CausalBatch:
    """Lay segments out as causal rows.

    Args:
        segments: What is in the rows.
        pairs: The stores that ``segments.pair`` counts.
        num_rows: Rows of the batch.
        length: Tokens of a row, the extra one included.
        pad: Token of empty places.
    """
    input_sizes, target_sizes = segments.head + segments.tail, segments.target
    begins = _begins(segments.row, input_sizes + target_sizes, length)
    tokens = np.full(num_rows * length, pad, dtype=np.int64)
    _place_inputs(tokens, begins, segments, pairs)
    _place_targets(tokens, begins + input_sizes, segments, pairs)
    numbers, groups = _numbers_and_groups(segments, num_rows)
    segment_ids = np.zeros(num_rows * length, dtype=np.int32)
    segment_ids[_spread(begins, input_sizes + target_sizes)] = np.repeat(numbers, input_sizes + target_sizes)
    is_input = np.zeros(num_rows * length, dtype=bool)
    is_input[_spread(begins, input_sizes)] = True
    shape = (num_rows, length)
    turns = None
    if any(pair.masks is not None for pair in pairs):
        flat = np.zeros(num_rows * length, dtype=np.uint8)
        _place_masks(flat, begins + input_sizes, segments, pairs)
        is_input = (segment_ids > 0) & (flat == 0)
        turns = flat.reshape(shape)
    return CausalBatch(tokens.reshape(shape), segment_ids.reshape(shape), is_input.reshape(shape), groups, turns)


def encoder_decoder_batch(
    segments: Segments, pairs: Sequence[Pair], num_rows: int, lengths: tuple[int, int], pad: int
) -> EncoderDecoderBatch:
    """Lay segments out as encoder-decoder rows.

    Args:
        segments: What is in the rows.
        pairs: The stores that ``segments.pair`` counts.
        num_rows: Rows of the batch.
        lengths: Tokens of the encoder's and of the decoder's rows.
        pad: Token of empty places, and what the decoder starts every segment with.
    """
    length, target_length = lengths
    input_sizes, target_sizes = segments.head + segments.tail, segments.target
    begins = _begins(segments.row, input_sizes, length)
    target_begins = _begins(segments.row, target_sizes, target_length)
    numbers, groups = _numbers_and_groups(segments, num_rows)
    tokens = np.full(num_rows * length, pad, dtype=np.int64)
    segment_ids = np.zeros(num_rows * length, dtype=np.int32)
    _place_inputs(tokens, begins, segments, pairs)
    segment_ids[_spread(begins, input_sizes)] = np.repeat(numbers, input_sizes)
    targets = np.full(num_rows * target_length, pad, dtype=np.int64)
    target_ids = np.zeros(num_rows * target_length, dtype=np.int32)
    _place_targets(targets, target_begins, segments, pairs)
    target_ids[_spread(target_begins, target_sizes)] = np.repeat(numbers, target_sizes)
    shifted = np.full_like(targets, pad)
    shifted[1:] = targets[:-1]
    shifted[target_begins] = pad
    shifted[target_ids == 0] = pad
    shape, target_shape = (num_rows, length), (num_rows, target_length)
    return EncoderDecoderBatch(
        tokens.reshape(shape),
        segment_ids.reshape(shape),
        shifted.reshape(target_shape),
        targets.reshape(target_shape),
        target_ids.reshape(target_shape),
        groups,
    )


def _spread(begins: Ints, sizes: Ints) -> Ints:
    """Return all positions of runs: ``begin, begin + 1, ...`` for each."""
    before = np.cumsum(sizes) - sizes
    return np.repeat(begins - before, sizes) + np.arange(int(sizes.sum()))


def _begins(row: Ints, sizes: Ints, length: int) -> Ints:
    """Return where each segment begins in the flattened rows.

    >>> _begins(np.array([0, 0, 1]), np.array([3, 2, 4]), 10).tolist()
    [0, 3, 10]
    """
    before = np.cumsum(sizes) - sizes
    first = np.searchsorted(row, row)
    begins: Ints = row * length + before - before[first]
    return begins


def _numbers_and_groups(segments: Segments, num_rows: int) -> tuple[Ints, npt.NDArray[np.int32]]:
    """Return the 1-based number of each segment in its row, and the groups as ``[R, K]``."""
    numbers = np.arange(len(segments.row)) - np.searchsorted(segments.row, segments.row) + 1
    groups = np.full((num_rows, int(numbers.max(initial=0))), -1, dtype=np.int32)
    groups[segments.row, numbers - 1] = segments.group
    return numbers, groups


def _place_inputs(out: Ints, begins: Ints, segments: Segments, pairs: Sequence[Pair]) -> None:
    for number in np.unique(segments.pair):
        chosen = np.flatnonzero(segments.pair == number)
        store, item = pairs[number].inputs, segments.item[chosen]
        head, tail = segments.head[chosen], segments.tail[chosen]
        starts = store.starts(item)
        out[_spread(begins[chosen], head)] = store.gather(starts, head)
        if tail.any():
            last = starts + store.index.sizes[item] - tail
            out[_spread(begins[chosen] + head, tail)] = store.gather(last, tail)


def _place_targets(out: Ints, begins: Ints, segments: Segments, pairs: Sequence[Pair]) -> None:
    for number in np.unique(segments.pair):
        chosen = np.flatnonzero(segments.pair == number)
        store, item = pairs[number].targets, segments.item[chosen]
        sizes = segments.target[chosen]
        out[_spread(begins[chosen], sizes)] = store.gather(store.starts(item), sizes)


def _place_masks(out: npt.NDArray[np.uint8], begins: Ints, segments: Segments, pairs: Sequence[Pair]) -> None:
    for number in np.unique(segments.pair):
        chosen = np.flatnonzero(segments.pair == number)
        masks, item = pairs[number].masks, segments.item[chosen]
        sizes = segments.target[chosen]
        places = _spread(begins[chosen], sizes)
        out[places] = 1 if masks is None else masks.gather(masks.starts(item), sizes)
