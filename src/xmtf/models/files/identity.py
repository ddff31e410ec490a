"""What tells one model from another before it is loaded: its bytes, wherever they lie.

A folder or file counts by the SHA-256 of the files that decide an answer, a model on the hub by the commit that its
revision stands for, an adapter also by the model that it is for.
"""

from __future__ import annotations

from pathlib import Path

from xmtf.artefacts.checksums import check_outputs, remembered_sha256
from xmtf.files import MANIFEST, content_hash
from xmtf.models.files.references import adapter_base, find_small_files, parse_reference

__all__ = ["model_identity"]

_SNAPSHOTS = "snapshots"
"""Folder of the hub's cache whose folders are named by commits."""


def model_identity(reference: str, *, offline: bool = False) -> str:
    """Return a hash of the model behind a reference.

    Args:
        reference: Folder, GGUF file or hub id.
        offline: Ask the hub's cache only which commit a revision is.

    Raises:
        SourceError: There is no such model.
        DataError: A folder of ours does not match its recorded checksum.
    """
    path = parse_reference(reference).path
    if path is None:
        folder = find_small_files(reference, offline=offline)
        if folder.parent.name == _SNAPSHOTS:
            named = {"hub": parse_reference(reference).hub_id, "commit": folder.name}
            return _with_base(named, folder, offline)
        path = folder
    if path.is_file():
        return content_hash([(path.name, remembered_sha256(path))])
    if (path / MANIFEST).is_file():
        check_outputs(path)
    files = sorted(file for file in path.iterdir() if _decides(file))
    return _with_base([(file.name, remembered_sha256(file)) for file in files], path, offline)


def _with_base(identity: object, folder: Path, offline: bool) -> str:
    base = adapter_base(folder)
    return content_hash(identity if base is None else [identity, model_identity(base, offline=offline)])


def _decides(path: Path) -> bool:
    """Return whether a file may change an answer; manifests and cards say nothing that does."""
    return path.is_file() and path.name != MANIFEST and path.suffix != ".md" and not path.name.startswith(".")
