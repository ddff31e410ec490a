"""Rows of plain text, read as pretraining read it: to see how much of that a model forgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xmtf.errors import SourceError
from xmtf.execution import warn
from xmtf.models.interface import Family
from xmtf.recipe import LoadedRecipe
from xmtf.recipe.schema import Packing, ValidationText
from xmtf.sources.tables import read_table_file
from xmtf.tokens import CausalBatch, EncoderDecoderBatch
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["TextRows", "present_texts", "text_rows"]


@dataclass(frozen=True, slots=True)
class TextRows:
    """Windows of a stream of text as the rows of a loader.

    Attributes:
        windows: int64 ``[rows, window]``, -1 where there is no text.
        family: Of the model.
        num_inputs: Tokens of a window that an encoder reads; 0 for causal models.
        pad: Fills rows; also what a decoder starts with.
        rows_per_step: Rows of a step, for the size of micro-batches.
    """

    windows: NDArray[np.int64]
    family: Family
    num_inputs: int
    pad: int
    rows_per_step: int

    @property
    def group_names(self) -> list[tuple[str, str]]:
        """None: plain text is of no task."""
        return []

    @property
    def tokens_per_row(self) -> int:
        """Positions of a row."""
        return int(self.windows.shape[1]) - (self.family == "causal")

    def available(self, most: int) -> int:
        """Return how many windows there are, at most ``most``."""
        return min(most, len(self.windows))

    def batch(self, step: int, *, micro: int, num_micro: int) -> Any:
        """Return the rows of a micro-batch; fewer, where the text ends."""
        size = self.rows_per_step // num_micro
        start = step * self.rows_per_step + micro * size
        rows = self.windows[start : start + size]
        groups = np.full((len(rows), 1), -1, np.int32)
        segments = (rows >= 0).astype(np.int32)
        tokens = np.where(rows >= 0, rows, self.pad)
        if self.family == "causal":
            return CausalBatch(tokens, segments, np.zeros(rows.shape, bool), groups)
        targets = tokens[:, self.num_inputs :]
        return EncoderDecoderBatch(
            encoder_tokens=tokens[:, : self.num_inputs],
            encoder_segment_ids=segments[:, : self.num_inputs],
            decoder_inputs=np.concatenate([np.full_like(targets[:, :1], self.pad), targets[:, :-1]], axis=1),
            decoder_targets=targets,
            decoder_segment_ids=segments[:, self.num_inputs :],
            groups=groups,
        )


def text_rows(
    text: ValidationText, folder: Path, tokenizer: Tokenizer, packing: Packing, family: Family, rows_per_step: int
) -> TextRows:
    """Cut a file of texts into rows: texts one after the other, each with the end-of-text token behind it.

    Before each stands what the tokenizer puts before a text.
    A causal model predicts every token but the first of a row; an encoder-decoder reads the first part of a window
    and predicts the rest.

    Args:
        text: Which file, and how many rows of it.
        folder: Of the recipe.
        tokenizer: Of the model.
        packing: Lengths of rows.
        family: Of the model.
        rows_per_step: Rows of a step, for the size of micro-batches.

    Raises:
        SourceError: The file cannot be read, lacks the column, or has no text.
    """
    path = folder / text.path
    table = read_table_file(path)
    if text.column not in table.column_names:
        raise SourceError(f"{path}: has no column {text.column!r}; it has {', '.join(table.column_names)}")
    num_inputs = packing.sequence_length if family == "encoder-decoder" else 0
    window = packing.sequence_length + (packing.target_length or packing.sequence_length if num_inputs else 1)
    stream: list[int] = []
    for value in table.column(text.column).to_pylist():
        if value and len(stream) < text.rows * window:
            stream += [*tokenizer.begin, *tokenizer.encode([str(value)])[0].tolist(), tokenizer.eos]
    if len(stream) < 2:
        raise SourceError(f"{path}: column {text.column!r} has no text")
    if num_inputs and len(stream) <= num_inputs:
        raise SourceError(f"{path}: holds {len(stream)} tokens, but one row of inputs needs {num_inputs}")
    num_rows = min(text.rows, max(1, len(stream) // window))
    flat = np.full(num_rows * window, -1, np.int64)
    used = stream[: num_rows * window]
    flat[: len(used)] = used
    return TextRows(flat.reshape(num_rows, window), family, num_inputs, tokenizer.pad, rows_per_step)


def present_texts(loaded: LoadedRecipe) -> list[tuple[ValidationText, Path]]:
    """Return the texts to validate on and their files; optional ones that are not there are left out, and named.

    Raises:
        SourceError: There is no such file, and the text is not optional.
    """
    found = [(text, loaded.path.parent / text.path) for text in loaded.recipe.training.validation_texts]
    for text, path in found:
        if not path.is_file():
            if not text.optional:
                raise SourceError(f"{loaded.path}: training.validation_texts: there is no file {path}")
            _warn_once(f"training.validation_texts: {text.name!r} is skipped: there is no file {path}")
    return [(text, path) for text, path in found if path.is_file()]


@cache
def _warn_once(text: str) -> None:
    warn(text)
