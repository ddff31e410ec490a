"""Names of the files in a token folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmtf.tokens.store.store import with_suffix

__all__ = ["StorePrefix", "store_prefix"]


@dataclass(frozen=True, slots=True)
class StorePrefix:
    """Where one language's files are.

    Attributes:
        inputs: Prefix of the store of inputs.
        targets: Prefix of the store of targets.
        clusters: uint16 ``.npy`` file with the task cluster of each item.
    """

    inputs: Path
    targets: Path
    clusters: Path

    def files(self) -> list[Path]:
        """Return all files of the language."""
        stores = [with_suffix(prefix, suffix) for prefix in (self.inputs, self.targets) for suffix in (".bin", ".idx")]
        return [*stores, self.clusters]


def store_prefix(folder: Path, prefix: str, language: str) -> StorePrefix:
    """Return the files of a language, named as Megatron's preprocessing names them.

    >>> store_prefix(Path("tokens"), "xp3", "fr").inputs.name
    'xp3_fr_inputs_document'
    """
    base = f"{prefix}_{language}"
    return StorePrefix(
        folder / f"{base}_inputs_document", folder / f"{base}_targets_document", folder / f"{base}_clusters.npy"
    )
