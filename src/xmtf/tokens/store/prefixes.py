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
        masks: Prefix of the store of masks, where the language has conversations: uint8, as long as the targets.
    """

    inputs: Path
    targets: Path
    clusters: Path
    masks: Path

    @property
    def has_masks(self) -> bool:
        """Whether there are masks."""
        return with_suffix(self.masks, ".idx").is_file()

    def files(self) -> list[Path]:
        """Return all files of the language."""
        prefixes = [self.inputs, self.targets, *([self.masks] if self.has_masks else [])]
        stores = [with_suffix(prefix, suffix) for prefix in prefixes for suffix in (".bin", ".idx")]
        return [*stores, self.clusters]


def store_prefix(folder: Path, prefix: str, language: str) -> StorePrefix:
    """Return the files of a language, named as Megatron's preprocessing names them.

    >>> store_prefix(Path("tokens"), "xp3", "fr").inputs.name
    'xp3_fr_inputs_document'
    """
    base = f"{prefix}_{language}"
    return StorePrefix(
        folder / f"{base}_inputs_document",
        folder / f"{base}_targets_document",
        folder / f"{base}_clusters.npy",
        folder / f"{base}_masks_document",
    )
