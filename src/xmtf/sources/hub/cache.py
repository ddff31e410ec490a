"""The hub's cache on this machine, laid out as ``huggingface_hub`` lays it out: contents, and names that lead there."""

from __future__ import annotations

import os
from pathlib import Path

from xmtf.sources.hub.client import library
from xmtf.sources.hub.files import HubFile, Listing

__all__ = ["blob_at", "in_cache", "name_in_cache", "storage_folder"]


def storage_folder(dataset: str) -> Path:
    """Return the folder of a dataset in the hub's cache."""
    return Path(library("huggingface_hub.constants").HF_HUB_CACHE) / f"datasets--{dataset.replace('/', '--')}"


def in_cache(listing: Listing, file: HubFile) -> Path | None:
    """Return a file where it was downloaded before, else None."""
    path = _named(listing, file)
    return path if path.is_file() and path.stat().st_size == file.size else None


def blob_at(listing: Listing, file: HubFile) -> Path:
    """Return where the content of a file lies, or will lie."""
    return storage_folder(listing.dataset) / "blobs" / file.name


def name_in_cache(listing: Listing, file: HubFile) -> Path:
    """Give downloaded content its name in the snapshot of the commit, and note the commit; return the name."""
    blob, path = blob_at(listing, file), _named(listing, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:  # a file system without links
        blob.rename(path)
    reference = storage_folder(listing.dataset) / "refs" / listing.revision
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(listing.commit, encoding="utf-8")
    return path


def _named(listing: Listing, file: HubFile) -> Path:
    return storage_folder(listing.dataset) / "snapshots" / listing.commit / file.path
