"""What training asks of the rows it is fed: the shape of a batch and of the loader that gives it.

The tokens room has classes of these shapes; training relies on the attributes alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = ["Batch", "CausalRows", "EncoderDecoderRows", "RowLoader", "examples_of_row", "is_causal"]


class CausalRows(Protocol):
    """Rows for a causal model: R rows of T + 1 tokens, up to K segments in a row.

    Rows with conversations also have ``turns`` uint8 ``[R, T + 1]``: 0 on what is not learnt; neighbouring
    answers differ.
    """

    @property
    def tokens(self) -> NDArray[np.int64]:
        """Token ids ``[R, T + 1]``."""

    @property
    def segment_ids(self) -> NDArray[np.int32]:
        """Example of each token ``[R, T + 1]``, from 1; 0 is padding."""

    @property
    def is_input(self) -> NDArray[np.bool_]:
        """Whether a token is of the inputs ``[R, T + 1]``."""

    @property
    def groups(self) -> NDArray[np.int32]:
        """Group of segment k + 1 ``[R, K]``; -1 where there is none."""


class EncoderDecoderRows(Protocol):
    """Rows for an encoder-decoder: S encoder and T decoder positions."""

    @property
    def encoder_tokens(self) -> NDArray[np.int64]:
        """Token ids of the inputs ``[R, S]``."""

    @property
    def encoder_segment_ids(self) -> NDArray[np.int32]:
        """Example of each input token ``[R, S]``."""

    @property
    def decoder_inputs(self) -> NDArray[np.int64]:
        """Targets shifted right within each segment ``[R, T]``."""

    @property
    def decoder_targets(self) -> NDArray[np.int64]:
        """Token ids of the targets ``[R, T]``."""

    @property
    def decoder_segment_ids(self) -> NDArray[np.int32]:
        """Example of each target token ``[R, T]``."""

    @property
    def groups(self) -> NDArray[np.int32]:
        """Group of segment k + 1 ``[R, K]``; -1 where there is none."""


Batch: TypeAlias = CausalRows | EncoderDecoderRows


def is_causal(batch: Batch) -> TypeIs[CausalRows]:
    """Return whether a batch is for a causal model."""
    return hasattr(batch, "is_input")


def examples_of_row(batch: Batch, row: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the tokens of inputs and of targets of each example of a row.

    ::

        tokens        6 7 8 3 4 5 P
        segment_ids   1 1 1 2 2 2 0
        is_input      1 1 0 1 1 0 0      (6 7, 8), (3 4, 5)
    """
    if is_causal(batch):
        tokens, segments, is_input = batch.tokens[row], batch.segment_ids[row], batch.is_input[row]
        for segment in range(1, int(segments.max(initial=0)) + 1):
            here = segments == segment
            yield tokens[here & is_input], tokens[here & ~is_input]
        return
    encoder, decoder = batch.encoder_segment_ids[row], batch.decoder_segment_ids[row]
    for segment in range(1, int(encoder.max(initial=0)) + 1):
        yield batch.encoder_tokens[row][encoder == segment], batch.decoder_targets[row][decoder == segment]


class RowLoader(Protocol):
    """Gives the rows of any step: a pure function of the seed and the step."""

    @property
    def group_names(self) -> list[tuple[str, str]]:
        """(language, cluster) of each group."""

    @property
    def rows_per_step(self) -> int:
        """Packed rows of one optimizer step."""

    @property
    def tokens_per_row(self) -> int:
        """Positions of a row, padding included."""

    def available(self, most: int) -> int:
        """Return how many rows there are, at most ``most``."""

    def batch(self, step: int, *, micro: int, num_micro: int) -> Any:
        """Return micro-batch ``micro`` of ``num_micro`` of a step."""
