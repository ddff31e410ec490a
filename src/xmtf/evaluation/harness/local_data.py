"""The harness's tasks on files of the mirror: what ``XMTF_DATA_ROOT`` holds is read from there, not from the hub.

The harness asks ``datasets`` for a dataset by its id and configuration. While :func:`data_of_mirror` is open, an id
that the mirror has is answered with the mirror's files, all splits of the configuration; everything else goes to the
hub.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from xmtf.errors import SourceError
from xmtf.execution import say, warn
from xmtf.sources.mirror import find_in_mirror, mirror_roots, mirror_splits
from xmtf.sources.reference import SourceRef

__all__ = ["data_of_mirror"]

_RENAMED = {
    "CohereForAI/Global-MMLU": "CohereLabs/Global-MMLU",
    "CohereForAI/Global-MMLU-Lite": "CohereLabs/Global-MMLU-Lite",
    "CohereForAI/include-base-44": "CohereLabs/include-base-44",
}
"""Ids in the harness's task files -> today's ids, under which mirrors are laid out."""
_BUILDERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".gz": "json"}


@contextmanager
def data_of_mirror() -> Iterator[None]:
    """Let ``datasets`` find what the mirror has, for the block."""
    import datasets

    ours = datasets.load_dataset

    def load(path: str, name: str | None = None, **options: Any) -> Any:
        files = _files(path, name)
        if not files:
            return ours(path, name, **options)
        kinds = {_BUILDERS.get(paths[0][paths[0].rindex(".") :], "") for paths in files.values()}
        if len(kinds) != 1 or "" in kinds:
            raise SourceError(
                f"{path}/{name or ''}: the harness reads Parquet, JSON lines or CSV, one kind per dataset"
            )
        say(f"  {path}{f'/{name}' if name else ''}: {', '.join(files)} from the mirror")
        return _with_empty_splits(ours(kinds.pop(), data_files=files), path)

    datasets.load_dataset = load
    try:
        yield
    finally:
        datasets.load_dataset = ours


def _with_empty_splits(found: Any, path: str) -> Any:
    """Return a dataset whose absent splits are empty: the harness looks at splits that it then does not ask."""
    import datasets

    class Splits(datasets.DatasetDict):  # type: ignore[misc]  # the library has no types
        def __missing__(self, split: str) -> Any:
            warn(f"  {path}: the mirror has no split {split}; the harness gets an empty one")
            return next(iter(self.values())).select([])

    return Splits(found)


def _files(path: str, name: str | None) -> dict[str, list[str]]:
    """Return split -> files of a dataset in the mirror; empty where it is not there."""
    if not mirror_roots() or path.startswith(("/", ".")) or "/" not in path:
        return {}
    ref = SourceRef(_RENAMED.get(path, path), name or "")
    found = {split: find_in_mirror(SourceRef(ref.dataset, ref.subset, split)) for split in mirror_splits(ref)}
    return {split: [str(file) for file in files] for split, files in found.items() if files}
