"""What is next to a file of a mirror: where it came from, and what it held when it came.

``train.parquet.source.json`` next to ``train.parquet``. A file without one is the user's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from pydantic import TypeAdapter, ValidationError

from xmtf.errors import SourceError
from xmtf.files import write_text
from xmtf.sources.reference import SourceRef

__all__ = ["SUFFIX", "Sidecar", "check_content", "check_pin", "read_sidecar", "write_sidecar"]

SUFFIX = ".source.json"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Where a file of a mirror came from.

    Attributes:
        dataset: Hub id.
        subset: Configuration, or ``""``.
        split: Split.
        revision: Branch or reference on the hub; ``""`` where it is not known.
        commit: The commit that it stood for; ``""`` where it is not known.
        rows: Rows of the file.
        bytes: Its size.
        sha256: Hash of its content.
        partial: Whether the hub converted only the beginning of the split.
        licence: Licence of the dataset, where it was known.
        gated: Whether the hub gives the dataset out on request alone; None where it was not asked.
    """

    dataset: str
    subset: str
    split: str
    revision: str
    commit: str
    rows: int
    bytes: int
    sha256: str
    partial: bool = False
    licence: str = ""
    gated: bool | None = None


_ADAPTER = TypeAdapter(Sidecar)


def read_sidecar(path: Path) -> Sidecar | None:
    """Return what is next to a file, or None.

    Raises:
        SourceError: It is not a record of a file.
    """
    beside = path.with_name(path.name + SUFFIX)
    try:
        text = beside.read_bytes()
    except OSError:
        return None
    try:
        return _ADAPTER.validate_json(text, strict=True)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        raise SourceError(
            f"{beside}: {'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}; delete it and {path.name}, and "
            "fetch both again with `xmtf data fetch`"
        ) from None


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Write what is known of a file next to it."""
    text = orjson.dumps(asdict(sidecar), option=orjson.OPT_INDENT_2).decode()
    write_text(path.with_name(path.name + SUFFIX), f"{text}\n")


def check_content(path: Path, sha256: str) -> None:
    """Refuse a file of a mirror that is not what was fetched.

    Raises:
        SourceError: It holds something other than its sidecar says.
    """
    sidecar = read_sidecar(path)
    if sidecar is not None and sidecar.sha256 != sha256:
        raise SourceError(
            f"{path}: is not the file that was fetched (SHA-256 {sha256[:12]}..., and {path.name}{SUFFIX} says "
            f"{sidecar.sha256[:12]}...): damaged, or changed by hand; delete both and fetch it again, or delete only "
            f"the {SUFFIX} to keep it as your own"
        )


def check_pin(ref: SourceRef, files: Iterable[Path]) -> None:
    """Refuse files of a mirror that are not of the commit that is pinned.

    Raises:
        SourceError: One is of another commit, or nothing says of which it is.
    """
    for path in files if ref.commit else ():
        sidecar = read_sidecar(path)
        if sidecar is None or sidecar.commit != ref.commit:
            of = f"is of commit {sidecar.commit[:12]}" if sidecar and sidecar.commit else "does not say its commit"
            raise SourceError(
                f"{path}: {of}, and {ref.where[0]} is pinned to {ref.commit[:12]}; fetch it into another folder, or "
                "pin what is there with `xmtf data pin`"
            )
