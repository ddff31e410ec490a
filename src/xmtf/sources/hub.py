"""The Hugging Face hub: first the caches of earlier downloads, then the network.

No dataset runs code here: ``datasets`` 4 and later refuse to. Datasets that were a script are read
from the Parquet files that the hub made of them (revision ``refs/convert/parquet``, laid out
``<subset>/<split>/0000.parquet``), straight from the files; all others through ``datasets``.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.execution import say
from xmtf.files import content_hash
from xmtf.sources.reference import SourceRef

__all__ = ["CONVERTED", "Prepared", "converted_files", "network_forbidden", "prepared_dataset"]

CONVERTED = "refs/convert/parquet"
"""Revision in which the hub keeps the Parquet files that it converted a dataset to."""


def network_forbidden() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE`` or ``HF_DATASETS_OFFLINE``)."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def converted_files(ref: SourceRef, *, cached: bool) -> list[Path]:
    """Return the Parquet files that the hub converted a split to, in order; downloads them where need be.

    Where the hub converted only the beginning of a large split, those files are returned and it is said.

    Args:
        ref: The split; its revision is :data:`CONVERTED`.
        cached: Only look at earlier downloads; the network is not touched.

    Returns:
        Empty where ``cached`` and there was no earlier download.

    Raises:
        SourceError: The hub does not have it, or cannot be reached; says why.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if not cached:
        _check_reachable(ref)
    dataset, subset, split = ref.where
    whole, start = (f"{subset or 'default'}/{folder}/*.parquet" for folder in (split, f"partial-{split}"))
    try:
        snapshot = snapshot_download(
            dataset, repo_type="dataset", revision=CONVERTED, allow_patterns=[whole, start], local_files_only=cached
        )
    except _hub_errors() as error:
        if cached and isinstance(error, LocalEntryNotFoundError):
            return []
        raise _refused(ref, error) from error
    files = sorted(Path(snapshot).glob(whole))
    if not files:
        files = sorted(Path(snapshot).glob(start))
        if files:
            say(f"{ref}: the hub converted only the beginning of this split; the rest is not read")
    if not files and not cached:
        raise SourceError(f"{ref}: the hub has no files {whole} in revision {CONVERTED} of {dataset}")
    return files


def prepared_dataset(ref: SourceRef, *, cached: bool) -> Prepared | None:
    """Return a split as ``datasets`` prepared it; None where ``cached`` and it never did.

    Raises:
        SourceError: The hub does not have it, or cannot be reached; says why.
    """
    if cached and not _was_prepared(ref):
        return None
    import datasets

    if not cached:
        _check_reachable(ref)
    dataset, subset, split = ref.where
    try:
        with _cache_only() if cached else contextlib.nullcontext():
            return Prepared(datasets.load_dataset(dataset, subset or None, split=split, revision=ref.revision))
    except _hub_errors() as error:
        if cached:
            return None
        raise _refused(ref, error) from error


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split that ``datasets`` keeps as memory-mapped Arrow files."""

    dataset: Any

    def table(self) -> pa.Table:
        """Return all rows."""
        table: pa.Table = self.dataset.with_format("arrow")[:]
        return table.replace_schema_metadata(None)

    def version(self) -> str:
        """Return a hash that changes with the version on the hub: the names of the cache files carry it."""
        return content_hash([Path(entry["filename"]).parts[-4:] for entry in self.dataset.cache_files])


def _hub_errors() -> tuple[type[Exception], ...]:
    """Return what the two libraries raise where the hub or the network lets them down."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    # The bases are OSError and the base error of whichever HTTP client the library uses.
    return (*HfHubHTTPError.__bases__, DatasetsError, ValueError, LookupError, RuntimeError)


def _refused(ref: SourceRef, error: Exception) -> SourceError:
    return SourceError(f"{ref}: the hub did not give it: {type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _check_reachable(ref: SourceRef) -> None:
    """Fail at once where the hub's name does not resolve: the libraries would retry for a minute.

    Raises:
        SourceError: No such host, and no proxy is set.
    """
    from huggingface_hub import constants

    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return
    host = urlsplit(constants.ENDPOINT).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        raise SourceError(f"{ref}: the hub ({host}) cannot be reached from this machine") from None


def _was_prepared(ref: SourceRef) -> bool:
    """Whether ``datasets`` has prepared anything of the dataset before (a look at folder names)."""
    import datasets

    dataset = ref.where[0]
    owner, _, name = dataset.rpartition("/")
    name = datasets.naming.camelcase_to_snakecase(name)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return (cache / (f"{owner}___{name}" if owner else name)).is_dir()


@contextlib.contextmanager
def _cache_only() -> Iterator[None]:
    """Make ``datasets`` answer from its cache alone; its own switch is only read when it is imported."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
