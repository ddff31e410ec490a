"""What names a split of raw rows, and what reading it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from xmtf.errors import SourceError

__all__ = ["Join", "SourceData", "SourceRef"]


@dataclass(frozen=True, slots=True)
class Join:
    """Subsets of a dataset whose rows with the same value in a column become one row.

    Attributes:
        on: The column, which all of them have.
        subsets: What precedes the names of the other columns -> subset: ``source`` -> ``eng_Latn``.
    """

    on: str
    subsets: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SourceRef:
    """One split of one subset of a dataset.

    Attributes:
        dataset: Hub id (``facebook/xnli``), ``cldr/<name>``, or the name of the user's own data.
        subset: Configuration, or ``""``.
        split: Such as ``train``.
        path: The user's own file; nothing else is looked at where it is given.
        further_paths: More own files, whose rows follow those of the first.
        hub_id: Hub id where it differs from ``dataset`` (datasets that moved).
        revision: Git revision on the hub, such as ``refs/convert/parquet``.
        commit: The commit of that revision that is read, and no other; ``""`` where none is pinned.
        adapter: Name of the fix-up applied to the rows (see :mod:`xmtf.sources.adapters`).
        note: What the user has to do by hand where the data cannot simply be downloaded.
        flat: Whether a mirror may hold all subsets in one file, which the adapter takes apart.
        on_hub: Dataset, subset and split as the hub calls them, where a mirror calls them otherwise.
        table: Subset that holds all others side by side, as columns, and serves those that have no files themselves.
        separator: Between the cells of the user's own CSV or TSV file; None finds it.
        as_json: Columns of JSON files whose lists and mappings stay JSON.
        join: Subsets whose rows are joined, where ``subset`` is no subset of the dataset but the name of several.
    """

    dataset: str
    subset: str = ""
    split: str = "train"
    path: str | None = None
    hub_id: str | None = None
    revision: str | None = None
    adapter: str | None = None
    note: str = ""
    flat: bool = False
    table: str = ""
    on_hub: tuple[str, str, str] | None = None
    separator: str | None = None
    as_json: tuple[str, ...] = ()
    further_paths: tuple[str, ...] = ()
    join: Join | None = None
    commit: str = ""

    def __post_init__(self) -> None:
        """Refuse names that lead out of the folders of mirrors and caches.

        Raises:
            SourceError: One does.
        """
        names = {"dataset": self.dataset, "subset": self.subset, "split": self.split, "hub_id": self.hub_id or ""}
        for kind, name in names.items():
            if _leads_out(name) or (kind == "split" and "/" in name):
                raise SourceError(f"{kind} {name!r}: is not a name but a path that leads elsewhere; write a plain name")

    @property
    def own_files(self) -> tuple[str, ...]:
        """The user's own files, in order; empty where it has its own place."""
        return () if self.path is None else (self.path, *self.further_paths)

    @property
    def parts(self) -> tuple[SourceRef, ...]:
        """The splits that have files: itself, or those of the subsets that it joins, in order."""
        if self.join is None:
            return (self,)
        alone = replace(self, adapter=None, join=None)
        return tuple(
            replace(alone, subset=subset, on_hub=self.on_hub and (self.on_hub[0], subset, self.on_hub[2]))
            for subset in self.join.subsets.values()
        )

    @property
    def where(self) -> tuple[str, str, str]:
        """Dataset, subset and split as the mirror and the hub call them."""
        return self.hub_id or self.dataset, self.subset, self.split

    @property
    def asked(self) -> tuple[str, str, str]:
        """Dataset, subset and split as the hub is asked for them."""
        return self.on_hub or self.where

    def __str__(self) -> str:
        dataset, subset, split = self.where
        return f"{dataset}{f'/{subset}' if subset else ''} [{split}]"


@dataclass(frozen=True, slots=True)
class SourceData:
    """The rows of a split, ready for templates.

    Attributes:
        ref: What was read.
        table: Columns as the hub names them, plus those that the adapter adds.
        fingerprint: Hash of the content and of the adapter.
        rows: Index of each row of ``table`` in the split before the adapter, [rows] int64.
        dropped: Rows that the adapter left out, counted by reason.
    """

    ref: SourceRef
    table: pa.Table
    fingerprint: str
    rows: np.ndarray
    dropped: dict[str, int] = field(default_factory=dict)


def _leads_out(name: str) -> bool:
    """Return whether a name would leave the folder that it is joined to.

    >>> [_leads_out(name) for name in ("facebook/xnli", "../outside", "/etc", "a/../b", "en")]
    [False, True, True, True, False]
    """
    parts = name.split("/")
    return name.startswith(("/", "~")) or "\\" in name or not name.isprintable() or any(p in (".", "..") for p in parts)
