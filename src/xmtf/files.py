"""Files as every room writes them: atomically, hashed, and described by a manifest.

A stage reads one artefact folder and writes another. It writes next to the final name and renames when whole, so a
killed run never leaves a half-written file that counts as done. The manifest of a folder is written last: a folder
without a manifest is unfinished.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from xmtf import __version__
from xmtf.errors import DataError, UserError
from xmtf.guards.alone import alone_in, refuse_others
from xmtf.guards.unfinished import discard_folder, replace_folder, sweep, temporary_file, temporary_folder
from xmtf.json_types import JsonObject
from xmtf.refusals import DISK_FULL, is_disk_full

__all__ = [
    "MANIFEST",
    "MANIFEST_SCHEMA",
    "Manifest",
    "Stopwatch",
    "alone_in",
    "append_jsonl",
    "atomic_folder",
    "atomic_path",
    "content_hash",
    "csv_cell",
    "discard_folder",
    "file_sha256",
    "is_finished",
    "link_or_copy",
    "read_json",
    "read_jsonl",
    "read_manifest",
    "shard_name",
    "slug",
    "sweep",
    "write_csv",
    "write_json",
    "write_jsonl",
    "write_manifest",
    "write_text",
]

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a stage did, kept in its artefact folder.

    Attributes:
        stage: Such as ``mixture`` or ``tokens``.
        fingerprint: Hash of ``recipe`` and ``inputs``; equal fingerprints need no new work.
        recipe: The resolved recipe section that the stage acted on.
        inputs: Name of each input -> its fingerprint.
        outputs: Relative path of each file written -> its SHA-256.
        counts: Numbers that a reader needs: ``in``, ``out``, ``dropped`` by reason, token totals.
        details: Whatever else the stage needs to tell.
        wall_time_s: Seconds that the stage took, over all its attempts where it knows them.
        code_version: Version of xmtf that wrote the folder.
        schema: Version of this record.
    """

    stage: str
    fingerprint: str
    recipe: JsonObject = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    counts: JsonObject = field(default_factory=dict)
    details: JsonObject = field(default_factory=dict)
    wall_time_s: float = 0.0
    code_version: str = __version__
    schema: int = MANIFEST_SCHEMA


def content_hash(value: object) -> str:
    """Return the SHA-256 (hex) of a JSON-like value, independent of the order of keys.

    >>> content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
    True
    """
    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
    return hashlib.sha256(orjson.dumps(value, option=options, default=str)).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file's bytes, read in blocks of 1 MiB."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def slug(text: str) -> str:
    """Return a file-name-safe form of ``text`` that keeps distinct names distinct.

    >>> slug("GPT-3 style")
    'GPT-3_style-826e'
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-._") else "_" for c in text)
    if safe == text and len(text) <= 100 and not text.startswith("."):
        return safe
    return f"{safe[:100].lstrip('.')}-{hashlib.sha256(text.encode()).hexdigest()[:4]}"


def shard_name(index: int) -> str:
    """Return the name of shard ``index``: ``part-00007.parquet``."""
    return f"part-{index:05d}.parquet"


@contextlib.contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path next to ``path``, an empty file; rename it to ``path`` when the block succeeds.

    On any error nothing stays behind.

    Args:
        path: The file.
        durable: Flush the file to disk before it is renamed.

    Raises:
        UserError: The disk is full.
    """
    try:
        with temporary_file(path) as temporary:
            yield temporary
            if durable:
                with temporary.open("rb+") as stream:
                    os.fsync(stream.fileno())
            temporary.replace(path)
    except OSError as error:
        raise _explain_os_error(error, path) from error


@contextlib.contextmanager
def atomic_folder(path: Path, *, alone: bool = False) -> Iterator[Path]:
    """Give a temporary folder next to ``path`` that takes its place when the block succeeds.

    An older folder at ``path`` is replaced. On any error nothing stays behind.

    Args:
        path: The folder.
        alone: Refuse where another process writes it, or works in it; else the last one stays.

    Raises:
        UserError: The disk is full, or another process writes there.
    """
    try:
        with temporary_folder(path) as temporary:
            if alone:
                refuse_others(path)
            yield temporary
            if alone:
                refuse_others(path)
            replace_folder(temporary, path)
    except OSError as error:
        raise _explain_os_error(error, path) from error


def link_or_copy(source: Path, target: Path) -> None:
    """Give one file per second name, or copy it where the file system has no links; ``target`` must not exist."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _explain_os_error(error: OSError, path: Path) -> Exception:
    return UserError(f"{path}: {DISK_FULL}") if is_disk_full(error) else error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    with atomic_path(path) as temporary:
        temporary.write_bytes(orjson.dumps(value, option=options) + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing or is not JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON ({error})") from None


def write_jsonl(path: Path, rows: Iterable[object]) -> int:
    """Write one JSON value a line, atomically; return the number of lines."""
    count = 0
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for row in rows:
            stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
            count += 1
    return count


def write_csv(path: Path, records: Sequence[Mapping[str, object]]) -> None:
    """Write records with the same keys as a CSV table, atomically; the first line names the columns."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(map(csv_cell, records[0] if records else ()))
        writer.writerows([csv_cell(record[name]) for name in records[0]] for record in records)


_NUMBER = r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?%?"
_MEASURED = re.compile(rf"-|[-+]?inf|{_NUMBER}( \[{_NUMBER}, {_NUMBER}\])?")


def csv_cell(value: object) -> object:
    """Return a value of a CSV table: a text that a spreadsheet would take for a formula begins with an apostrophe.

    Numbers stay as they are, and so do numbers with their interval.

    >>> [csv_cell(value) for value in ("=1+1", "@x", "+a", "+1+1", "-0.5", "+2.0 [-1.0, +5.0]", "-", "a", -1)]
    ["'=1+1", "'@x", "'+a", "'+1+1", '-0.5', '+2.0 [-1.0, +5.0]', '-', 'a', -1]
    """
    if not isinstance(value, str) or value[:1] not in ("=", "+", "-", "@", "\t", "\r") or _MEASURED.fullmatch(value):
        return value
    return f"'{value}"


def append_jsonl(path: Path, row: object) -> None:
    """Append one JSON value as a line: the form of logs that grow while a run continues."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as stream:
        stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the value of every line.

    Raises:
        DataError: The file is missing, or a line is not JSON (named by its number).
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: missing") from None
    with stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise DataError(f"{path}: line {number} is not valid JSON ({error})") from None


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json``: the last act of a stage, which marks its folder as finished."""
    value = _as_json(asdict(manifest))
    write_json(folder / MANIFEST, value | {"hash": content_hash(value)})


def _as_json(value: dict[str, Any]) -> dict[str, Any]:
    """Return a value as it is read from JSON again."""
    found: dict[str, Any] = orjson.loads(
        orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    )
    return found


def read_manifest(folder: Path) -> Manifest:
    """Read a folder's manifest.

    Raises:
        DataError: There is none, it is not JSON, or another schema wrote it.
    """
    path = folder / MANIFEST
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != MANIFEST_SCHEMA:
        raise DataError(f"{path}: not a manifest of schema {MANIFEST_SCHEMA}; delete {folder} to rebuild it")
    written = value.pop("hash", None)  # manifests of earlier versions have none
    if written not in (None, content_hash(value)):
        raise DataError(f"{path}: was changed after it was written; delete {folder} to rebuild it")
    known = {key: value[key] for key in Manifest.__dataclass_fields__ if key in value}
    texts = ("stage", "fingerprint")
    records = ("recipe", "inputs", "outputs", "counts", "details")
    if not (
        all(isinstance(known.get(key), str) for key in texts)
        and all(isinstance(known.get(key, {}), dict) for key in records)
        and isinstance(known.get("wall_time_s", 0.0), int | float)
    ):
        raise DataError(f"{path}: is not the manifest of a stage; delete {folder} to rebuild it")
    return Manifest(**known)


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Return whether ``folder`` holds the finished work of ``fingerprint``."""
    if not (folder / MANIFEST).exists():
        return False
    return read_manifest(folder).fingerprint == fingerprint


@dataclass(slots=True)
class Stopwatch:
    """Seconds since it was made."""

    start: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Wall seconds since the start, to the millisecond."""
        return round(time.monotonic() - self.start, 3)
