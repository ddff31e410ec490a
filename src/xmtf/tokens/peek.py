"""Show a packed row to a person: tokens, segment ids and loss weights, one above the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xmtf.text_table import num_cells, terminal_width
from xmtf.tokens.batches import CausalBatch
from xmtf.tokens.loader import Loader

__all__ = ["peek_row"]

_MOST_CELLS = 400


def peek_row(loader: Loader, row: int) -> str:
    """Return row ``row`` of the blend as text.

    ``loss`` under a token of a causal row is the weight of predicting that token; of an encoder-decoder
    only the decoder has one. The weight is 1 / tokens of the target, so every target counts once.

    Args:
        loader: From :func:`xmtf.tokens.open_loader`.
        row: Which row, from 0, in the order of training.
    """
    batch = loader.rows(row, row + 1)
    names = [loader.group_names[group] for group in batch.groups[0] if group >= 0]
    clusters = ", ".join(f"{number} {cluster}" for number, (_, cluster) in enumerate(names, 1))
    lines = [f"row {row} ({names[0][0]}): {clusters}"]
    if isinstance(batch, CausalBatch):
        ids, scored = batch.segment_ids[0], ~batch.is_input[0] & (batch.segment_ids[0] > 0)
        lines += _table(loader, batch.tokens[0], ids, _weights(ids, scored))
    else:
        ids = batch.decoder_segment_ids[0]
        lines += ["encoder", *_table(loader, batch.encoder_tokens[0], batch.encoder_segment_ids[0], None)]
        lines += ["decoder targets", *_table(loader, batch.decoder_targets[0], ids, _weights(ids, ids > 0))]
    return "\n".join(lines)


def _weights(ids: npt.NDArray[np.int32], scored: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    per_segment = np.bincount(ids[scored], minlength=int(ids.max()) + 1)
    return np.where(scored, 1 / np.maximum(per_segment[ids], 1), 0.0)


def _table(
    loader: Loader,
    tokens: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float64] | None,
) -> list[str]:
    """Return aligned lines of cells, wrapped to the width; padding at the end is counted, not shown."""
    used = int((ids > 0).sum())
    columns = []
    for place in range(min(used, _MOST_CELLS)):
        cells = [_spell(loader, int(tokens[place])), str(tokens[place]), str(ids[place])]
        if weights is not None:
            cells.append(f"{weights[place]:.2g}")
        width = max(map(num_cells, cells))
        columns.append([cell + " " * (width - num_cells(cell)) for cell in cells])
    names = ["token", "id", "segment", "loss"][: 3 + (weights is not None)]
    lines: list[str] = []
    width = terminal_width() or 110
    while columns:
        room, taken = width - 9, 0
        while taken < len(columns) and (taken == 0 or room >= num_cells(columns[taken][0]) + 1):
            room -= num_cells(columns[taken][0]) + 1
            taken += 1
        for line, name in enumerate(names):
            lines.append(f"{name:9}" + " ".join(column[line] for column in columns[:taken]).rstrip())
        lines.append("")
        columns = columns[taken:]
    more = f"{used - _MOST_CELLS} more tokens, " if used > _MOST_CELLS else ""
    return [*lines, f"{more}{used} tokens and {len(tokens) - used} empty places"]


def _spell(loader: Loader, token: int) -> str:
    """Return a token as text where it is whole characters, else as the vocabulary spells its bytes."""
    text = loader.tokenizer.decode([token], keep_special=True)
    if not text or "\ufffd" in text:
        return loader.tokenizer.token(token)
    return text.replace("\n", "⏎").replace("\t", "⇥").replace(" ", "·")
