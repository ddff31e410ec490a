"""From token files to batches: a batch depends on the recipe, the seed and its step, and on nothing else.

Each language is packed on its own; languages are then blended row by row, so weights are token
weights. Step ``n`` is rows ``[n B, (n + 1) B)`` of the blend, cut into ``num_micro`` slices, whoever
computes them. The data position of a run is one integer, the step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from xmtf.errors import ConfigError, DataError
from xmtf.records import Family
from xmtf.tokens.rows.batches import (
    CausalBatch,
    EncoderDecoderBatch,
    Pair,
    Segments,
    causal_batch,
    encoder_decoder_batch,
)
from xmtf.tokens.rows.blending import Blend, Once
from xmtf.tokens.rows.fitting import Fitted
from xmtf.tokens.rows.packing import RowStream
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["Batch", "LanguageRows", "Loader", "SplitName"]

Batch: TypeAlias = CausalBatch | EncoderDecoderBatch
SplitName = Literal["train", "validation"]

_PROBED_ROWS = 2048


@dataclass(frozen=True, slots=True)
class LanguageRows:
    """One language's items of one group, packed.

    Attributes:
        language: Its code.
        pair: Its stores.
        first: First item of the group in the stores; ``fitted`` and ``stream`` count from there.
        fitted: What is left of each item.
        groups: int32 ``[items]``, group of each item.
        stream: Its rows.
        tokens: Tokens of the items that fit.
    """

    language: str
    pair: Pair
    first: int
    fitted: Fitted
    groups: npt.NDArray[np.int32]
    stream: RowStream
    tokens: int


@dataclass(frozen=True)
class Loader:
    """Batches of one group of a token folder.

    Attributes:
        family: Which kind of rows.
        languages: Packed languages, sorted by code.
        weights: Share of the rows of each language.
        capacity: Tokens of a row on each side.
        rows_per_step: Rows of a step, over all ranks.
        tokenizer: The tokenizer of the folder.
        group_names: (language, task cluster) of each group.
        skipped: Examples left out because they do not fit a row.
        truncated: Examples whose inputs were cut.
    """

    family: Family
    languages: tuple[LanguageRows, ...] = field(repr=False)
    weights: dict[str, float]
    capacity: tuple[int, ...]
    rows_per_step: int
    tokenizer: Tokenizer
    group_names: list[tuple[str, str]]
    skipped: int
    truncated: int
    _blend: Blend | Once = field(repr=False)

    @property
    def tokens_per_row(self) -> int:
        """Positions that a model computes for a row, padding included."""
        return self.capacity[0] - 1 if self.family == "causal" else sum(self.capacity)

    @cached_property
    def fill(self) -> float:
        """Share of real tokens, over the first 2,048 rows."""
        probed = self.available(_PROBED_ROWS)
        streams, rows = self._blend.rows(0, probed)
        real = sum(
            int(self.languages[stream].fitted.sizes[:, self.languages[stream].stream[int(row)]].sum())
            for stream, row in zip(streams, rows, strict=True)
        )
        return real / (probed * sum(self.capacity))

    def available(self, most: int) -> int:
        """Return how many rows there are, at most ``most``: training has no end of them, validation reads each once."""
        return self._blend.available(most)

    def batch(self, step: int, *, micro: int = 0, num_micro: int = 1) -> Batch:
        """Return one slice of a step's rows.

        Args:
            step: From 0.
            micro: Which micro-batch, over all processes.
            num_micro: Micro-batches of the step.

        Raises:
            ConfigError: More micro-batches than rows.
            DataError: A token file holds what cannot be a token.
        """
        rows = self.rows_per_step
        if num_micro > rows:
            raise ConfigError(f"training.global_batch_rows: {rows} rows cannot be split into {num_micro} micro-batches")
        start = step * rows
        return self.rows(start + micro * rows // num_micro, start + (micro + 1) * rows // num_micro)

    def rows(self, start: int, stop: int) -> Batch:
        """Return rows ``[start, stop)`` of the blend as one batch."""
        segments, num_rows = self._segments(start, stop), stop - start
        pairs = [language.pair for language in self.languages]
        batch: Batch
        if self.family == "causal":
            batch = causal_batch(segments, pairs, num_rows, self.capacity[0], self.tokenizer.pad)
            largest = int(batch.tokens.max(initial=0))
        else:
            lengths = (self.capacity[0], self.capacity[1])
            batch = encoder_decoder_batch(segments, pairs, num_rows, lengths, self.tokenizer.pad)
            largest = max(int(batch.encoder_tokens.max(initial=0)), int(batch.decoder_targets.max(initial=0)))
        if largest >= self.tokenizer.vocab_size:
            codes = sorted({self.languages[number].language for number in np.unique(segments.pair)})
            raise DataError(
                f"token files of {', '.join(codes)}: token {largest} is outside the vocabulary of "
                f"{self.tokenizer.vocab_size} of their tokenizer; delete the folder to rebuild it"
            )
        return batch

    def _segments(self, start: int, stop: int) -> Segments:
        streams, rows = self._blend.rows(start, stop)
        chosen = [self.languages[stream] for stream in streams]
        items = [language.stream[int(row)] for language, row in zip(chosen, rows, strict=True)]
        counts = [len(found) for found in items]

        def collect(values: list[npt.NDArray[np.generic]]) -> npt.NDArray[np.int64]:
            return np.concatenate([np.empty(0, dtype=np.int64), *values])

        return Segments(
            row=np.repeat(np.arange(stop - start), counts),
            pair=np.repeat(streams, counts),
            item=collect([language.first + found for language, found in zip(chosen, items, strict=True)]),
            head=collect([language.fitted.head[found] for language, found in zip(chosen, items, strict=True)]),
            tail=collect([language.fitted.tail[found] for language, found in zip(chosen, items, strict=True)]),
            target=collect([language.fitted.target[found] for language, found in zip(chosen, items, strict=True)]),
            group=collect([language.groups[found] for language, found in zip(chosen, items, strict=True)]),
        )
