"""Splits that the hub converted to Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import MissingSourceError, SourceError
from xmtf.sources.hub.cache import blob_at, in_cache, name_in_cache
from xmtf.sources.hub.client import CONVERTED
from xmtf.sources.hub.download import Tell, Wanted, download_all
from xmtf.sources.hub.files import HubFile, Listing
from xmtf.sources.hub.layout import NoSuchSplitError, configurations, find_split
from xmtf.sources.hub.listing import check_access, list_revision, stored_listing
from xmtf.sources.reference import SourceRef

__all__ = ["HubSplit", "bring", "cached_split", "subsets_of", "wanted_split"]


@dataclass(frozen=True, slots=True)
class HubSplit:
    """The files of a split on the hub.

    Attributes:
        listing: Of the revision.
        files: Of the split, in order.
        partial: Whether they are only its beginning.
        subsets: Configurations that they are in.
    """

    listing: Listing
    files: tuple[HubFile, ...]
    partial: bool = False
    subsets: tuple[str, ...] = ()

    def cached(self) -> list[Path] | None:
        """Return the files in the hub's cache, or None where one is not there."""
        found = [in_cache(self.listing, file) for file in self.files]
        return [path for path in found if path is not None] if None not in found else None

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(file.size for file in self.files)


def cached_split(ref: SourceRef) -> HubSplit | None:
    """Return a converted split that was downloaded before, without a network; None where it was not."""
    listing = _stored(ref)
    if listing is None:
        return None
    try:
        split = _split(ref, listing)
    except NoSuchSplitError:
        return None
    return split if split.cached() is not None else None


def _stored(ref: SourceRef) -> Listing | None:
    """Return the listing that the cache has; where a commit is pinned, that of the commit."""
    found = stored_listing(ref.asked[0], CONVERTED)
    if not ref.commit or (found is not None and found.commit == ref.commit):
        return found
    return stored_listing(ref.asked[0], ref.commit)


def wanted_split(ref: SourceRef) -> HubSplit:
    """Ask the hub where a converted split is.

    Raises:
        MissingSourceError: The hub has no such split; says what it has.
        SourceError: The hub fails just now.
    """
    listing = list_revision(ref, CONVERTED)
    try:
        split = _split(ref, listing)
    except NoSuchSplitError as miss:
        raise MissingSourceError(f"{ref}: in revision {CONVERTED} of {ref.asked[0]} {miss}") from None
    check_access(ref, listing, split.files[0])
    return split


def subsets_of(ref: SourceRef, *, cached: bool) -> list[str]:
    """Return all configurations of the converted dataset that have the split.

    Raises:
        SourceError: As :func:`wanted_split`.
    """
    listing = _stored(ref) if cached else list_revision(ref, CONVERTED)
    return configurations(listing.files, ref.split) if listing is not None else []


def bring(splits: Sequence[HubSplit], tell: Tell = lambda count: None) -> dict[str, SourceError]:
    """Download what is not in the hub's cache yet, side by side.

    Returns:
        Path on the hub, behind the dataset -> why it could not be had.
    """
    missing = {
        (split.listing.dataset, file.path): Wanted(split.listing, file, blob_at(split.listing, file))
        for split in splits
        for file in split.files
        if in_cache(split.listing, file) is None
    }
    problems = download_all(list(missing.values()), tell)
    for each in missing.values():
        if each.target not in problems:
            name_in_cache(each.listing, each.file)
    return {
        f"{each.listing.dataset}/{each.file.path}": problems[each.target]
        for each in missing.values()
        if each.target in problems
    }


def _split(ref: SourceRef, listing: Listing) -> HubSplit:
    _, subset, split = ref.asked
    found = find_split(listing.files, subset, split, table=ref.table)
    return HubSplit(listing, tuple(listing.files[path] for path in found.paths), found.partial, found.configurations)
