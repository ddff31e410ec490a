"""The files of a revision, with their sizes and hashes, and the commit that the revision stands for.

A listing is asked for once a process and kept in the hub's cache, so that a machine without a network knows which
files a split has.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import orjson

from xmtf.files import slug, write_text
from xmtf.sources.hub.cache import storage_folder
from xmtf.sources.hub.client import ask, check_reachable, endpoint, library
from xmtf.sources.hub.files import HubFile, Listing
from xmtf.sources.reference import SourceRef

__all__ = ["card_licence", "check_access", "list_revision", "stored_listing"]

_KEPT = "xmtf"
"""Folder next to blobs and snapshots of a dataset in the hub's cache."""


_LOCKS: dict[tuple[str, str, str], threading.Lock] = defaultdict(threading.Lock)


def list_revision(ref: SourceRef, revision: str) -> Listing:
    """Ask the hub for the files of a revision of a dataset, or of the commit that is pinned.

    Raises:
        MissingSourceError: There is no such dataset or revision, or no network.
        SourceError: The hub fails just now.
    """
    dataset = ref.asked[0]
    key = (endpoint(), dataset, ref.commit or revision)
    with _LOCKS[key]:
        return _listed(*key, str(storage_folder(dataset)))


@lru_cache(maxsize=4096)
def _listed(address: str, dataset: str, revision: str, storage: str) -> Listing:
    what = f"{dataset} at {revision}"
    check_reachable(what)
    api = library().HfApi(endpoint=address)
    info = ask(what, dataset, lambda: api.dataset_info(dataset, revision=revision))
    commit = info.sha
    entries = ask(
        what, dataset, lambda: list(api.list_repo_tree(dataset, recursive=True, revision=commit, repo_type="dataset"))
    )
    hf_file = library("huggingface_hub.hf_api").RepoFile
    files = {
        entry.path: HubFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else "")
        for entry in entries
        if isinstance(entry, hf_file)
    }
    listing = Listing(dataset, revision, str(commit), files, bool(info.gated))
    path = _kept_at(Path(storage), revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, orjson.dumps(asdict(listing)).decode())
    return listing


def card_licence(dataset: str) -> str:
    """Ask the hub for the licence that the card of a dataset names, or ``""`` where it names none.

    Raises:
        SourceError: The hub does not say it.
    """
    return _card_licence(endpoint(), dataset)


@lru_cache(maxsize=4096)
def _card_licence(address: str, dataset: str) -> str:
    api = library().HfApi(endpoint=address)
    info = ask(f"card of {dataset}", dataset, lambda: api.dataset_info(dataset))
    card = info.card_data or {}
    named = card.get("license_name") or card.get("license") or []
    return ", ".join([named] if isinstance(named, str) else map(str, named))


def check_access(what: object, listing: Listing, file: HubFile) -> None:
    """Ask for the head of a file of a set that is given out on request: its list of files is shown to everybody.

    Raises:
        MissingSourceError: The hub does not give it out to this reader; says what to do.
    """
    if not listing.gated:
        return
    head, url = library().get_hf_file_metadata, listing.url(file)
    ask(what, listing.dataset, lambda: head(url))


def stored_listing(dataset: str, revision: str) -> Listing | None:
    """Return what :func:`list_revision` found before, or what the hub's cache has of an earlier download."""
    path = _kept_at(storage_folder(dataset), revision)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return _of_cache(dataset, revision)
    return _read(path, stamp)


@lru_cache(maxsize=4096)
def _read(path: Path, stamp: int) -> Listing:
    read = orjson.loads(path.read_bytes())
    files = {name: HubFile(**file) for name, file in read.pop("files").items()}
    return Listing(**read, files=files)


def _kept_at(storage: Path, revision: str) -> Path:
    return storage / _KEPT / f"{slug(revision)}.json"


def _of_cache(dataset: str, revision: str) -> Listing | None:
    """List what another program downloaded: all that is known is what is there."""
    storage = storage_folder(dataset)
    reference = storage / "refs" / revision
    if not reference.is_file():
        return None
    commit = reference.read_text(encoding="utf-8").strip()
    snapshot = storage / "snapshots" / commit
    there = {path.relative_to(snapshot).as_posix(): path for path in sorted(snapshot.rglob("*")) if path.is_file()}
    files = {name: HubFile(name, path.stat().st_size, "") for name, path in there.items()}
    return Listing(dataset, revision, commit, files)
