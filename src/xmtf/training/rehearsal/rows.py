"""Rows for a rehearsal: random tokens, examples of the lengths that prompted mixtures have.

Of rows of 2,048 tokens each holds some twenty examples, a seventh of whose tokens are targets.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmtf.models.interface import Family
from xmtf.recipe import Recipe

__all__ = ["RehearsalRows"]

_MEANS = (80.0, 13.0)
"""Tokens of an example's inputs and targets on average, log-normal; as measured on xP3's mixtures."""
_BRIEF = np.full(1, 4)
"""Tokens of a short example's inputs, and of its targets."""


class RehearsalRows:
    """A :class:`xmtf.training.loss.batches.RowLoader` whose every micro-batch of a step is the same.

    Rows of step 0 have one short example and padding: it is only there for what is made once. Attention of twenty
    examples of a row, length by length, is most of what a rehearsal has to go through.

    Args:
        recipe: Lengths of rows and rows of a step count.
        family: Of the model.
        vocab_size: Tokens are below it.
    """

    def __init__(self, recipe: Recipe, family: Family, vocab_size: int) -> None:
        packing = recipe.tokens.packing
        self.group_names = [("en", "nli"), ("fr", "qa")]
        self.rows_per_step = recipe.training.global_batch_rows
        self.tokens_per_row = packing.sequence_length
        self._family, self._vocab_size = family, vocab_size
        pairs = family == "encoder-decoder"
        self.targets_per_row = (packing.target_length if pairs else None) or packing.sequence_length

    def available(self, most: int) -> int:
        """Return how many rows there are: as many as are asked for."""
        return most

    def batch(self, step: int, *, micro: int, num_micro: int) -> Any:
        """Return the rows of a micro-batch."""
        rng = np.random.default_rng(7)
        rows = [self._row(rng, brief=step == 0) for _ in range(self.rows_per_step // num_micro)]
        return SimpleNamespace(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})

    def attended(self, batch: Any) -> float:
        """Return which share of the square of a row its documents' own squares take, on average."""
        ids = batch.segment_ids[:, :-1] if self._family == "causal" else batch.encoder_segment_ids
        squares = sum(int(np.square(np.bincount(row[row > 0])).sum()) for row in ids)
        return float(squares / (len(ids) * ids.shape[1] ** 2))

    def _row(self, rng: np.random.Generator, *, brief: bool) -> dict[str, NDArray[Any]]:
        longest = self.tokens_per_row
        inputs, targets = (_BRIEF if brief else _lengths(rng, mean, longest) for mean in _MEANS)
        if self._family == "causal":
            return self._causal(rng, inputs, targets)
        encoder = _filled(inputs, longest)
        total = self.targets_per_row
        decoder = _filled(targets if brief else _scaled(targets[: encoder.max()], total), total)
        tokens = rng.integers(5, self._vocab_size, self.targets_per_row)
        return {
            "encoder_tokens": rng.integers(5, self._vocab_size, longest),
            "encoder_segment_ids": encoder,
            "decoder_inputs": tokens,
            "decoder_targets": tokens,
            "decoder_segment_ids": decoder,
            "groups": np.zeros(longest, np.int32),
        }

    def _causal(
        self, rng: np.random.Generator, inputs: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        length = self.tokens_per_row + 1
        segments = _filled(inputs + targets, length)
        starts = np.flatnonzero(np.diff(segments, prepend=0))
        place = np.arange(length) - starts[np.maximum(segments, 1) - 1]
        return {
            "tokens": rng.integers(5, self._vocab_size, length),
            "segment_ids": segments,
            "is_input": place < inputs[np.maximum(segments, 1) - 1],
            "groups": np.zeros(length, np.int32),
        }


def _lengths(rng: np.random.Generator, mean: float, longest: int) -> NDArray[np.int64]:
    """Return more lengths than any row takes."""
    mean = min(mean, longest / 4)
    return np.clip(rng.lognormal(np.log(mean) - 0.32, 0.8, longest), 2, max(2, longest // 2)).astype(np.int64)


def _filled(lengths: NDArray[np.int64], total: int) -> NDArray[np.int32]:
    """Return segment ids of a row that is filled to its end, the last example cut; zeros where examples end.

    >>> _filled(np.array([2, 1, 9]), 5).tolist(), _filled(np.array([3]), 5).tolist()
    ([1, 1, 2, 3, 3], [1, 1, 1, 0, 0])
    """
    ids = np.repeat(np.arange(1, len(lengths) + 1, dtype=np.int32), lengths)[:total]
    return np.pad(ids, (0, total - len(ids)))


def _scaled(lengths: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Return lengths in about the same proportions that fill a row, so that memory is that of rows without padding.

    >>> _scaled(np.array([1, 2, 1]), 8).tolist()
    [2, 4, 2]
    """
    ends = np.round(np.cumsum(lengths) * (total / lengths.sum())).astype(np.int64)
    scaled: NDArray[np.int64] = np.diff(ends, prepend=0)
    return scaled
