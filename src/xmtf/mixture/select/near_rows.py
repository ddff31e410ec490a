"""Rows of a slice as MinHash signatures, from which near duplicates are found before anything is rendered.

A text is the set of its runs of five characters, of lower-cased letters, marks and digits with one space between words.
Of two texts the share of positions at which their signatures agree estimates the share of runs that they have in common
(Jaccard), with a standard error of at most 0.045 at 128 positions.

::

    "The cat sat."  ->  "the cat sat"  ->  the_c he_ca e_cat _cat_ cat_s at_sa t_sat  ->  128 numbers
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import require
from xmtf.mixture.select.keys import UInt64, hash_strings, mix
from xmtf.mixture.select.row_texts import texts_of_rows
from xmtf.tasks import Slice
from xmtf.tasks.prompting.pieces import Pieces
from xmtf.tasks.prompting.prompted import chosen_rows
from xmtf.tasks.prompting.rows import SliceRows

__all__ = ["NUM_HASHES", "chosen_pieces", "signatures", "write_near_rows"]

NUM_HASHES = 128
_RUN = 5
_SEED = 42
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NOT_WORD = r"[^\pL\pM\pN]+"
_BLOCK_ROWS = 20_000


def write_near_rows(spec: dict[str, Any], folder: Path, part: Slice) -> dict[str, Any]:
    """Write the rows that a slice reads, and their signatures: ``rows-<n>.npz``, one for each piece.

    Args:
        spec: ``seed``, ``offline``, ``signs`` (whether texts are compared), ``place`` (hashed with a row's number it is
            the row, or of a parallel set the row in all languages).
        folder: Where to.
        part: The slice.

    Returns:
        ``pieces``: rows of each.
    """
    sizes = []
    for number, (_, data) in enumerate(chosen_pieces(Pieces(part, spec["seed"], spec["offline"]))):
        rows = data.data.rows
        nodes = mix(hash_strings(pa.array([spec["place"]], pa.string()))[0, 0] + rows.astype(np.uint64))
        signed = np.empty((len(rows), 0), np.uint32)
        if spec["signs"]:
            signed = np.concatenate([np.empty((0, NUM_HASHES), np.uint32), *_signed(part, data)])
        languages = _languages(part, data)
        np.save(folder / f"signatures-{number}.npy", signed, allow_pickle=False)
        np.savez(folder / f"rows-{number}.npz", rows=rows, nodes=nodes, languages=languages)
        sizes.append(len(rows))
    return {"pieces": sizes}


def chosen_pieces(pieces: Pieces) -> Iterator[tuple[Slice, SliceRows]]:
    """Yield the rows that a slice reads; those that its limit leaves out are gone already.

    Raises:
        SourceError: They cannot be read.
    """
    for piece, data in pieces:
        chosen = chosen_rows(piece, data.data, pieces.seed)
        taken = data.taken(chosen)
        if len(chosen) < len(data.data.rows):  # what an adapter leaves out counts where the whole split is read
            taken = replace(taken, data=replace(taken.data, dropped={}))
        yield replace(piece, limit_rows=None), taken


def _languages(part: Slice, data: SliceRows) -> UInt64:
    """Return a hash of the language of each row: equal texts in two languages are none."""
    if data.languages is None:
        one = hash_strings(pa.array([part.task.language], pa.string()))[0, 0]
        return np.full(len(data.data.rows), one, np.uint64)
    return np.asarray(hash_strings(data.languages.dictionary)[:, 0][np.asarray(data.languages.indices)], np.uint64)


def _signed(part: Slice, data: SliceRows) -> Iterator[npt.NDArray[np.uint32]]:
    table = data.data.table
    read = set[str]().union(*(template.prepared("fixed").names for template in part.templates))
    columns = [name for name in table.column_names if name.replace("-", "_") in read] or table.column_names
    for first in range(0, table.num_rows, _BLOCK_ROWS):
        yield signatures(texts_of_rows(table.select(columns).slice(first, _BLOCK_ROWS)))


def signatures(texts: list[str]) -> npt.NDArray[np.uint32]:
    """Return the signatures of texts, uint32 ``[texts, 128]``; of a text without a letter or digit, zeros.

    Raises:
        MissingExtraError: The package rensa is not installed.
    """
    rensa = require("rensa", "dedup")
    tokens, offsets = _runs(texts)
    found = np.zeros((len(texts), NUM_HASHES), np.uint32)
    is_text = np.diff(offsets) > 0
    if is_text.any():
        starts = np.concatenate([offsets[:-1][is_text], offsets[-1:]])
        matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(tokens, starts, NUM_HASHES, _SEED)
        found[is_text] = np.array(matrix.to_rows(), np.uint32)
    return found


def _runs(texts: list[str]) -> tuple[UInt64, UInt64]:
    """Return the hashes of the runs of five characters of all texts, and where those of each text begin."""
    spaced = pc.replace_substring_regex(pc.utf8_lower(pa.array(texts, pa.large_string())), _NOT_WORD, " ")
    plain = pc.utf8_trim_whitespace(spaced)
    lengths = np.asarray(pc.utf8_length(plain), np.int64)
    # at least one run a text: spaces fill up shorter ones
    padded = pc.utf8_rpad(plain, _RUN, " ").to_pylist() if (lengths < _RUN).any() else plain.to_pylist()
    characters = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
    sizes = np.maximum(lengths, _RUN)
    hashes = np.zeros(max(0, len(characters) - _RUN + 1), np.uint64)
    for place in range(_RUN):
        hashes = hashes * _FACTOR + characters[place : place + len(hashes)]
    ends = np.cumsum(sizes)
    counts = np.where(lengths > 0, sizes - _RUN + 1, 0)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    own = np.arange(offsets[-1]) - np.repeat(offsets[:-1], counts) + np.repeat(ends - sizes, counts)
    return mix(hashes[own]), offsets.astype(np.uint64)
