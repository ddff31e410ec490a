"""Show a packed row to a person: tokens, segment ids and loss weights, one above the other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from xmtf.text.table import num_cells, terminal_width
from xmtf.tokens.rows.batches import CausalBatch
from xmtf.tokens.rows.loader import Loader

__all__ = ["peek_row"]

_MOST_CELLS = 400
_MOST_PARTS = 12
"""Tokens that may make one piece of text together: a letter of four bytes and its like."""

_PART = "‹"
_VISIBLE = str.maketrans({"\n": "⏎", "\t": "⇥", " ": "·"})


def peek_row(loader: Loader, row: int) -> str:
    """Return row ``row`` of the blend as text.

    ``loss`` under a token of a causal row is the weight of predicting that token; of an encoder-decoder
    only the decoder has one. The weight is 1 / tokens of the target, so every target counts once, and of a
    conversation every answer. ``‹`` is a token that is part of the letter on its left.

    Args:
        loader: From :func:`xmtf.tokens.open_loader`.
        row: Which row, from 0, in the order of training.
    """
    batch = loader.rows(row, row + 1)
    names = [loader.group_names[group] for group in batch.groups[0] if group >= 0]
    clusters = Counter(cluster for _, cluster in names)
    held = ", ".join(f"{count} {cluster}" for cluster, count in clusters.most_common())
    lines = [f"row {row} ({names[0][0]}), {len(names)} example{'s' * (len(names) > 1)}: {held}"]
    if isinstance(batch, CausalBatch):
        ids, scored = batch.segment_ids[0], ~batch.is_input[0] & (batch.segment_ids[0] > 0)
        lines += _table(loader, batch.tokens[0], ids, _weights(_numbered(ids, batch.turns), scored))
    else:
        ids = batch.decoder_segment_ids[0]
        lines += ["encoder", *_table(loader, batch.encoder_tokens[0], batch.encoder_segment_ids[0], None)]
        lines += ["decoder targets", *_table(loader, batch.decoder_targets[0], ids, _weights(ids, ids > 0))]
    return "\n".join(lines)


def _numbered(ids: npt.NDArray[np.int32], turns: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.int32]:
    """Return the number of the target that each token is of: of its segment, or of its turn in it."""
    if turns is None:
        return ids
    changes = (np.diff(ids) != 0) | (np.diff(turns[0].astype(np.int32)) != 0)
    return np.concatenate([np.zeros(1, np.int32), np.cumsum(changes, dtype=np.int32)])


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
    for place, text in enumerate(_spell(loader, tokens[:used], ids[:used])[:_MOST_CELLS]):
        cells = [text, str(tokens[place]), str(ids[place])]
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
    return [*lines, f"{more}{used} tokens and {len(tokens) - used} empty positions"]


def _spell(loader: Loader, tokens: npt.NDArray[np.int64], ids: npt.NDArray[np.int32]) -> list[str]:
    """Return each token as text.

    Tokens that are parts of a letter are read together: the letter stands over the first of them, a mark over the
    others. What makes no text is as the vocabulary spells its bytes.
    """
    texts: list[str] = []
    while len(texts) < len(tokens):
        place = len(texts)
        for end in range(place + 1, min(place + _MOST_PARTS, len(tokens)) + 1):
            text = loader.tokenizer.decode(tokens[place:end].tolist(), keep_special=True)
            if text and "\ufffd" not in text and ids[place] == ids[end - 1]:
                texts += [text.translate(_VISIBLE), *[_PART] * (end - place - 1)]
                break
        else:
            texts.append(loader.tokenizer.token(int(tokens[place])))
    return texts
