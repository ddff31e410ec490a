"""Splits that ``datasets`` prepares: of datasets that say themselves which files are which split."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from xmtf.errors import MissingSourceError
from xmtf.files import content_hash
from xmtf.sources.hub.client import ask, check_reachable, has_datasets, hub_errors, library
from xmtf.sources.hub.converted import HubSplit, bring
from xmtf.sources.hub.listing import list_revision
from xmtf.sources.reference import SourceRef

__all__ = ["Prepared", "cached_dataset", "declared_split", "prepare_dataset"]

_MAIN = "main"
_ONE_AT_A_TIME = threading.Lock()
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A split that ``datasets`` keeps as memory-mapped Arrow files."""

    dataset: Any

    def table(self) -> pa.Table:
        """Return all rows, as they lie in the mapped files."""
        table: pa.Table = self.dataset.with_format("arrow")[:]
        return table.replace_schema_metadata(None)

    def files(self) -> list[Path]:
        """Return the Arrow files, in order."""
        return [Path(entry["filename"]) for entry in self.dataset.cache_files]

    def version(self) -> str:
        """Return a hash that changes with the version on the hub: the names of the cache files carry it."""
        return content_hash([path.parts[-4:] for path in self.files()])

    def commit(self) -> str:
        """Return the commit that it was prepared from, ``""`` where it is not known."""
        names = {path.parent.name for path in self.files()}
        return name if len(names) == 1 and _COMMIT.fullmatch(name := names.pop()) else ""


def cached_dataset(ref: SourceRef) -> Prepared | None:
    """Return a split as ``datasets`` prepared it before, without a network; None where it never did."""
    if not _was_prepared(ref):
        return None
    datasets = library("datasets")
    dataset, subset, split = ref.asked
    try:
        with _cache_only():
            revision = ref.commit or ref.revision
            found = Prepared(datasets.load_dataset(dataset, subset or None, split=split, revision=revision))
    except hub_errors():
        return None
    return found if ref.commit in ("", found.commit()) else None


def declared_split(ref: SourceRef) -> HubSplit:
    """Ask the hub which files a split is made of, as the dataset's card or the names of its files say.

    Raises:
        MissingSourceError: There is no such dataset, configuration or split; says which there are.
        SourceError: The hub fails just now.
    """
    datasets = library("datasets")
    dataset, subset, split = ref.asked
    check_reachable(ref)
    listing = list_revision(ref, ref.revision or _MAIN)
    with _ONE_AT_A_TIME:  # the library keeps settings and listings that all threads share
        builder = ask(
            ref, dataset, lambda: datasets.load_dataset_builder(dataset, subset or None, revision=listing.commit)
        )
    named: dict[str, list[str]] = {str(name): list(files) for name, files in (builder.config.data_files or {}).items()}
    if split not in named:
        has = ", ".join(sorted(named)) or "no files"
        raise MissingSourceError(f"{ref}: the hub has no split {split!r} of it, but {has}")
    before = f"hf://datasets/{dataset}@{listing.commit}/"
    paths = [name.removeprefix(before) for name in named[split]]
    return HubSplit(listing, tuple(listing.files[path] for path in paths if path in listing.files))


def prepare_dataset(ref: SourceRef, split: HubSplit) -> Prepared:
    """Return a split, prepared from the files that :func:`declared_split` found; they are downloaded where need be.

    Raises:
        SourceError: A file cannot be had, or ``datasets`` cannot read it.
    """
    datasets = library("datasets")
    for problem in bring([split]).values():
        raise problem
    dataset, subset, name = ref.asked
    commit = split.listing.commit
    datasets.disable_progress_bars()
    return Prepared(
        ask(ref, dataset, lambda: datasets.load_dataset(dataset, subset or None, split=name, revision=commit))
    )


def _was_prepared(ref: SourceRef) -> bool:
    """Whether ``datasets`` has prepared anything of the dataset before (a look at folder names)."""
    if not has_datasets():
        return False
    datasets = library("datasets")
    dataset = ref.asked[0]
    owner, _, name = dataset.rpartition("/")
    name = datasets.naming.camelcase_to_snakecase(name)
    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return (cache / (f"{owner}___{name}" if owner else name)).is_dir()


@contextlib.contextmanager
def _cache_only() -> Iterator[None]:
    """Make ``datasets`` answer from its cache alone, without a word; its own switch is only read on import."""
    datasets = library("datasets")
    before, verbosity = datasets.config.HF_HUB_OFFLINE, datasets.logging.get_verbosity()
    datasets.config.HF_HUB_OFFLINE = True
    datasets.logging.set_verbosity_error()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
        datasets.logging.set_verbosity(verbosity)
