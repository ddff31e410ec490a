"""From prompted text to items of tokens: the shard task of tokenising a mixture.

Inputs and targets are tokenised separately, so no merge crosses the border between them and the border is known
exactly. One item of each for every row that is kept::

    row       inputs "Translate: chat"   targets "cat"
    inputs    [bos] Translate : Ġchat [eos]          bos as the tokenizer puts it, eos only where the recipe asks
    targets   Ġcat [eos]                             one space before, where the recipe asks

A row with an empty side, or a side that has no tokens, is dropped and counted: pairs never shift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xmtf.artefacts.checksums import remembered_sha256
from xmtf.artefacts.manifest_parts import Ends
from xmtf.errors import DataError
from xmtf.json_types import JsonObject
from xmtf.mixture.validation import ROW_COLUMNS, held_out_rows
from xmtf.records import MESSAGES
from xmtf.tokens.build.caps import Origins
from xmtf.tokens.build.conversations import ChatRules, EncodedConversations, encode_conversations, rules_of
from xmtf.tokens.store.store import StoreWriter
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["CLUSTERS_FILE", "TRAINING", "VALIDATION", "EncodedPairs", "Ends", "encode_pairs", "encode_shard"]

CLUSTERS_FILE = "clusters.npy"
TRAINING, VALIDATION = "training", "validation"
"""Folders of a tokenised shard."""
_BATCH_ROWS = 2000


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Items of one batch of rows.

    Attributes:
        inputs: int32, all inputs concatenated.
        input_sizes: int32 ``[kept]``.
        targets: int32, all targets concatenated.
        target_sizes: int32 ``[kept]``.
        kept: int64 ``[kept]``, rows of the batch that became items.
        dropped: Rows that did not, by reason.
        special: Sides of rows that look like to hold a special token and were read as text, by id.
        masks: uint8, of conversations as long as ``targets``: which of them are learnt; None: all.
        shortened: Conversations that lost their oldest exchanges.
    """

    inputs: npt.NDArray[np.int32]
    input_sizes: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    target_sizes: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int64]
    dropped: dict[str, int]
    special: Counter[int]
    masks: npt.NDArray[np.uint8] | None = None
    shortened: int = 0


def encode_pairs(tokenizer: Tokenizer, inputs: pa.Array, targets: pa.Array, ends: Ends) -> EncodedPairs:
    """Tokenise both sides of a batch of rows.

    Args:
        tokenizer: The tokenizer.
        inputs: String array ``[rows]``; null counts as empty.
        targets: String array ``[rows]``.
        ends: What to put at the ends.
    """
    inputs, targets = pc.fill_null(inputs, ""), pc.fill_null(targets, "")
    has_targets = _filled(targets)
    if ends.space_before_targets:
        targets = pc.binary_join_element_wise("", targets, " ")
    special = Counter[int]()
    input_ids, input_sizes = _encode_column(tokenizer, inputs, special)
    target_ids, target_sizes = _encode_column(tokenizer, targets, special)
    no_inputs = input_sizes == 0
    no_targets = ~no_inputs & ((target_sizes == 0) | ~has_targets)
    keep = ~(no_inputs | no_targets)
    input_ids, input_sizes = _take(input_ids, input_sizes, keep)
    target_ids, target_sizes = _take(target_ids, target_sizes, keep)
    end = tokenizer.bos if ends.end_of_inputs == "bos" else tokenizer.eos
    input_ids, input_sizes = _end(input_ids, input_sizes, end if ends.end_of_inputs else None)
    input_ids, input_sizes = _begin(input_ids, input_sizes, ends.begin_of_inputs)
    target_ids, target_sizes = _end(target_ids, target_sizes, tokenizer.eos if ends.end_of_targets else None)
    dropped = {"empty inputs": int(no_inputs.sum()), "empty targets": int(no_targets.sum())}
    return EncodedPairs(input_ids, input_sizes, target_ids, target_sizes, np.flatnonzero(keep), dropped, special)


def encode_shard(spec: JsonObject, folder: Path) -> JsonObject:
    """Tokenise one Parquet shard of a mixture; the shard function of the plan.

    Args:
        spec: ``shard`` (path) and ``shard_hash``, ``tokenizer`` (folder), ``special_tokens``, ``dtype``, ``ends``;
            fingerprints that only key the task; ``validation``: from which number on rows are for validation (see
            :mod:`xmtf.mixture.validation`); ``chat``, where conversations are written
            (:mod:`xmtf.tokens.build.conversations`), and ``language``; ``origins``, where caps need the tasks of items.
        folder: Receives, in a folder for training and one for validation, ``inputs.{bin,idx}``, ``targets.{bin,idx}``
            and ``clusters.npy``, and of conversations ``masks.{bin,idx}``.

    Returns:
        Counts, and the names of the task clusters in the order of their numbers in ``clusters.npy``; those of ``tasks``
        where they were wanted.

    Raises:
        DataError: The shard is not what the mixture's manifest says.
    """
    if remembered_sha256(Path(spec["shard"])) != spec["shard_hash"]:
        raise DataError(
            f"{spec['shard']}: does not match the manifest of its mixture; delete the mixture to rebuild it"
        )
    tokenizer = _cached_tokenizer(spec["tokenizer"]).reading(spec["special_tokens"])
    ends, dtype = Ends(**spec["ends"]), np.dtype(spec["dtype"])
    chat = None if spec.get("chat") is None else rules_of(spec["chat"])
    counts = _Counts(tokenizer)
    names: dict[str, int] = {}
    masked, origins = chat is not None, Origins() if spec.get("origins") else None
    with (
        _Group(folder / TRAINING, dtype, masked) as training,
        _Group(folder / VALIDATION, dtype, masked) as validation,
    ):
        for batch in _batches(Path(spec["shard"]), masked, origins is not None):
            is_held_out = held_out_rows(batch, spec["validation"])
            for group, part in ((training, batch.filter(~is_held_out)), (validation, batch.filter(is_held_out))):
                for rows, is_chat in _kinds(part, chat):
                    if chat is not None and is_chat:
                        pairs = _of_conversations(encode_conversations(tokenizer, chat, rows, spec["language"]))
                    else:
                        pairs = encode_pairs(tokenizer, rows["inputs"], rows["targets"], ends)
                    group.append(pairs, _numbers(rows["cluster"], names))
                    if origins is not None and group is training:
                        origins.append(rows, pairs.kept)
                    counts.add(rows, pairs, is_validation=group is validation)
    if origins is not None:
        origins.save(folder / TRAINING)
    return counts.to_json() | {"clusters": list(names)} | ({} if origins is None else {"tasks": list(origins.names)})


@dataclass(slots=True)
class _Counts:
    """What is counted of a shard."""

    tokenizer: Tokenizer
    counts: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=lambda: Counter({"empty inputs": 0, "empty targets": 0}))
    special: Counter[int] = field(default_factory=Counter)

    def add(self, rows: pa.RecordBatch, pairs: EncodedPairs, *, is_validation: bool) -> None:
        """Count some rows and their items."""
        found = {
            "in": rows.num_rows,
            "out": len(pairs.kept),
            "input_tokens": len(pairs.inputs),
            "target_tokens": len(pairs.targets),
            "bytes": sum(pc.sum(pc.binary_length(rows[side])).as_py() or 0 for side in ("inputs", "targets")),
            "validation": len(pairs.kept) if is_validation else 0,
            "conversations": 0 if pairs.masks is None else len(pairs.kept),
            "shortened": pairs.shortened,
        }
        self.counts.update(found)
        self.special.update(pairs.special)
        for reason, count in pairs.dropped.items():
            self.dropped[reason] += count

    def to_json(self) -> JsonObject:
        """Return what a shard reports."""
        spelt = {self.tokenizer.token(token): count for token, count in sorted(self.special.items())}
        names = ("in", "out", "input_tokens", "target_tokens", "bytes", "validation", "conversations", "shortened")
        told = {"special_texts": spelt, "composed_texts": self.tokenizer.composed_texts}
        return {**{name: self.counts[name] for name in names}, "dropped": dict(self.dropped), **told}


def _kinds(rows: pa.RecordBatch, chat: ChatRules | None) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Yield the rows that are prompted examples, and those that are conversations; none of nothing."""
    is_chat = np.zeros(rows.num_rows, bool) if chat is None else chat.takes(rows)
    for kind in (False, True):
        part = rows if (is_chat == kind).all() else rows.filter(pa.array(is_chat == kind))
        if part.num_rows and (is_chat == kind).any():
            yield part, kind


def _of_conversations(found: EncodedConversations) -> EncodedPairs:
    (inputs, input_sizes), (targets, target_sizes) = _joined(found.inputs, np.int32), _joined(found.targets, np.int32)
    return EncodedPairs(
        inputs,
        input_sizes,
        targets,
        target_sizes,
        np.array(found.kept, np.int64),
        dict(found.dropped),
        found.special,
        masks=_joined(found.masks, np.uint8)[0],
        shortened=found.shortened,
    )


def _joined(parts: list[Any], kind: type[np.generic]) -> tuple[Any, npt.NDArray[np.int32]]:
    sizes = np.array([len(part) for part in parts], np.int32)
    return np.concatenate([np.empty(0, kind), *parts]), sizes


class _Group:
    """Writes the items to train on, or those to validate on, into a folder of their own."""

    def __init__(self, folder: Path, dtype: np.dtype[np.generic], masked: bool) -> None:
        folder.mkdir()
        self._folder, self._clusters = folder, list[npt.NDArray[np.uint16]]()
        self._inputs, self._targets = StoreWriter(folder / "inputs", dtype), StoreWriter(folder / "targets", dtype)
        self._masks = StoreWriter(folder / "masks", np.dtype(np.uint8)) if masked else None
        self._stack = ExitStack()

    def __enter__(self) -> _Group:
        for store in (self._inputs, self._targets, *([] if self._masks is None else [self._masks])):
            self._stack.enter_context(store)
        return self

    def append(self, pairs: EncodedPairs, clusters: npt.NDArray[np.uint16]) -> None:
        """Write the items of a batch whose rows are of these clusters."""
        self._inputs.append(pairs.inputs, pairs.input_sizes)
        self._targets.append(pairs.targets, pairs.target_sizes)
        if self._masks is not None:
            masks = np.ones(len(pairs.targets), np.uint8) if pairs.masks is None else pairs.masks
            self._masks.append(masks, pairs.target_sizes)
        self._clusters.append(clusters[pairs.kept])

    def __exit__(self, *raised: Any) -> None:
        self._stack.__exit__(*raised)  # ends all of them, whatever the end of one raises
        if raised[0] is None:
            clusters = np.concatenate([*self._clusters, np.empty(0, dtype=np.uint16)])
            np.save(self._folder / CLUSTERS_FILE, clusters, allow_pickle=False)


@lru_cache(maxsize=2)
def _cached_tokenizer(folder: str) -> Tokenizer:
    return load_tokenizer(Path(folder))


def _batches(path: Path, with_messages: bool, with_tasks: bool) -> Any:
    columns = ["inputs", "targets", "cluster", *ROW_COLUMNS]
    columns += [*([MESSAGES] if with_messages else []), *(["task"] if with_tasks else [])]
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(_BATCH_ROWS, columns=columns)


def _filled(column: pa.Array) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.greater(pc.binary_length(column), 0).to_numpy(zero_copy_only=False), dtype=bool)


def _encode_column(
    tokenizer: Tokenizer, column: pa.Array, special: Counter[int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Encode a column, each distinct text once: answers repeat a great deal. Counts what looks like special tokens."""
    distinct = column.dictionary_encode()
    indices = distinct.indices.to_numpy(zero_copy_only=False)
    found = tokenizer.encode_found(distinct.dictionary.to_pylist())
    if len(found.places):
        times = np.bincount(indices, minlength=len(found.sizes))
        for place, token in zip(found.places.tolist(), found.tokens.tolist(), strict=True):
            special[token] += int(times[place])
    if len(found.sizes) == len(column):
        return found.ids, found.sizes
    return _runs(found.ids, found.sizes, indices)


def _runs(
    ids: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], chosen: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return the chosen items, concatenated, and their sizes."""
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    new_sizes = sizes[chosen]
    new_starts = np.cumsum(new_sizes, dtype=np.int64) - new_sizes
    return ids[np.repeat(starts[chosen] - new_starts, new_sizes) + np.arange(int(new_sizes.sum()))], new_sizes


def _take(
    ids: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], keep: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    return (ids, sizes) if keep.all() else (ids[np.repeat(keep, sizes)], sizes[keep])


def _end(
    ids: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], after: int | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Put a token behind every item."""
    if after is None:
        return ids, sizes
    return np.insert(ids, np.cumsum(sizes, dtype=np.int64), after), sizes + np.int32(1)


def _begin(
    ids: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], before: tuple[int, ...]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Put tokens before every item that does not begin with them."""
    if not before:
        return ids, sizes
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    there = sizes >= len(before)
    for place, token in enumerate(before):
        there[there] = ids[starts[there] + place] == token
    places = np.repeat(starts[~there], len(before))
    more = np.where(there, 0, len(before)).astype(np.int32)
    return np.insert(ids, places, np.tile(np.array(before, ids.dtype), int((~there).sum()))), sizes + more


def _numbers(column: pa.Array, names: dict[str, int]) -> npt.NDArray[np.uint16]:
    """Number the cluster names of a column, adding new names to ``names``."""
    encoded = pc.fill_null(column, "").dictionary_encode()
    numbers = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
    found: npt.NDArray[np.uint16] = np.array(numbers, dtype=np.uint16)[encoded.indices.to_numpy(zero_copy_only=False)]
    return found
