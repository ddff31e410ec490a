"""The token files of one language, made of its tokenised shards: the last shard task of tokenising."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xmtf.files import file_sha256
from xmtf.json_types import JsonObject
from xmtf.tokens.build.encode import CLUSTERS_FILE, TRAINING, VALIDATION
from xmtf.tokens.store.prefixes import store_prefix
from xmtf.tokens.store.store import merge_stores

__all__ = ["merge_language"]


def merge_language(spec: JsonObject, folder: Path) -> JsonObject:
    """Concatenate the shards of a language in order, all items to train on before those to validate on.

    Cluster numbers become those of the whole mixture.

    Args:
        spec: ``shards`` (folders of :func:`xmtf.tokens.build.encode.encode_shard`, and ``shards_hash`` of their tasks),
            ``names`` (task clusters of each shard, in the order of its numbers), ``clusters`` (of the mixture),
            ``prefix`` and ``language`` of the files, ``dtype`` of the tokens, ``masked`` where shards have masks.
        folder: Receives the token files of the language.

    Returns:
        ``files``: name -> SHA-256.
    """
    shards = [Path(shard) / group for group in (TRAINING, VALIDATION) for shard in spec["shards"]]
    dtype = np.dtype(spec["dtype"])
    files = store_prefix(folder, spec["prefix"], spec["language"])
    merge_stores([shard / "inputs" for shard in shards], files.inputs, dtype)
    merge_stores([shard / "targets" for shard in shards], files.targets, dtype)
    if spec.get("masked"):
        merge_stores([shard / "masks" for shard in shards], files.masks, np.dtype(np.uint8))
    numbers = []
    for shard, names in zip(shards, 2 * spec["names"], strict=True):
        of_name = np.array([spec["clusters"].index(name) for name in names], dtype=np.uint16)
        numbers.append(of_name[np.load(shard / CLUSTERS_FILE, allow_pickle=False)])
    with files.clusters.open("wb") as stream:
        np.save(stream, np.concatenate(numbers), allow_pickle=False)
    return {"files": {path.name: file_sha256(path) for path in files.files()}}
