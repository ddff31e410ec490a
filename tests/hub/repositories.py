"""What the local hub serves: repositories as files in memory, and those of the mirror."""

import hashlib
import io
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CONVERTED = "refs/convert/parquet"
LARGE = (".parquet", ".safetensors", ".bin", ".arrow")
"""What the hub keeps as large files, which it names by SHA-256; all others by git's hash."""


@dataclass
class Repository:
    """One dataset or model: revision -> path -> bytes, or the path of a file with them."""

    name: str
    kind: str = "dataset"
    gated: bool = False
    private: bool = False
    card: dict = field(default_factory=dict)
    revisions: dict = field(default_factory=lambda: {"main": {}})

    def add(self, files, revision="main"):
        self.revisions.setdefault(revision, {}).update(files)
        return self

    def resolve(self, revision):
        """Return (commit, files) of a branch or a commit, or None."""
        for name, files in self.revisions.items():
            commit = self.commit(name)
            if revision in (name, commit, f"refs/heads/{name}"):
                return commit, files
        return None

    def commit(self, name):
        stamp = [
            self.name,
            *(f"{path} {blob_id(content(data))}" for path, data in sorted(self.revisions[name].items())),
        ]
        return hashlib.sha1("\n".join(stamp).encode()).hexdigest()


@lru_cache(maxsize=4096)
def content(data):
    """Return the bytes of a file."""
    return data.read_bytes() if isinstance(data, Path) else data


@lru_cache(maxsize=4096)
def blob_id(data):
    """Return the name that git gives to bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@lru_cache(maxsize=4096)
def sha256(data):
    return hashlib.sha256(data).hexdigest()


def parquet(rows, **how):
    """Return a list of rows as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), buffer, **how)
    return buffer.getvalue()


def mirrored(root, dataset, *, converted):
    """Return a dataset of a mirror as the hub has it: converted, or with a card that lists its files."""
    folder = Path(root) / dataset
    found = sorted(folder.rglob("*.parquet"))
    repository = Repository(dataset)
    if converted:
        names = {path: path.relative_to(folder) for path in found}
        return repository.add(
            {
                f"{name.parent if name.parent.name else 'default'}/{name.stem}/0000.parquet": p
                for p, name in names.items()
            },
            CONVERTED,
        )
    card = ["---", "configs:"]
    for subset in sorted({path.parent for path in found}):
        card += [f"- config_name: {subset.name}", "  data_files:"]
        card += [f"  - {{split: {p.stem}, path: {p.relative_to(folder)}}}" for p in found if p.parent == subset]
    files = {path.relative_to(folder).as_posix(): path for path in found}
    return repository.add(files | {"README.md": "\n".join([*card, "---", ""]).encode()})
