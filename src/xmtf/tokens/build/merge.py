"""The token files of one language, made of its tokenised shards: the last shard task of tokenising."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from xmtf.files import file_sha256
from xmtf.json_types import JsonObject
from xmtf.recipe.sections.tokenization import TokenCaps
from xmtf.tokens.build.caps import kept_items
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
            ``prefix`` and ``language`` of the files, ``dtype`` of the tokens, ``masked`` where shards have masks, and
            where the recipe has caps in tokens ``caps`` and ``tasks`` (of each shard, in the order of its numbers).
        folder: Receives the token files of the language.

    Returns:
        ``files``: name -> SHA-256, and what caps leave out (:class:`xmtf.tokens.build.caps.KeptItems`).

    Raises:
        ConfigError: A cap leaves nothing.
    """
    shards = [Path(shard) / group for group in (TRAINING, VALIDATION) for shard in spec["shards"]]
    dtype = np.dtype(spec["dtype"])
    files = store_prefix(folder, spec["prefix"], spec["language"])
    number = len(spec["shards"])
    kept, left_out = list[npt.NDArray[np.bool_] | None]([None] * len(shards)), JsonObject()
    if "caps" in spec:
        found = kept_items(shards[:number], spec["tasks"], TokenCaps(**spec["caps"]), spec["language"])
        kept[:number], left_out = found.masks, found.left_out
    merge_stores([shard / "inputs" for shard in shards], files.inputs, dtype, kept)
    merge_stores([shard / "targets" for shard in shards], files.targets, dtype, kept)
    if spec.get("masked"):
        merge_stores([shard / "masks" for shard in shards], files.masks, np.dtype(np.uint8), kept)
    numbers = []
    for shard, names, mask in zip(shards, 2 * spec["names"], kept, strict=True):
        of_name = np.array([spec["clusters"].index(name) for name in names], dtype=np.uint16)
        of_items = of_name[np.load(shard / CLUSTERS_FILE, allow_pickle=False)]
        numbers.append(of_items if mask is None else of_items[mask])
    with files.clusters.open("wb") as stream:
        np.save(stream, np.concatenate(numbers), allow_pickle=False)
    return {"files": {path.name: file_sha256(path) for path in files.files()}, "left_out": left_out}
