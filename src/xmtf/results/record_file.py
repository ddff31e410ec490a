"""Files of records, one a line: what reading them has in common."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from xmtf.files import read_jsonl
from xmtf.lines import from_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

__all__ = ["read_records"]


def read_records(kind: type[Record], path: Path, what: str) -> list[Record]:
    """Read the records of a file.

    Args:
        kind: Dataclass of a record.
        path: The file.
        what: What each line should be, such as ``sample``.

    Raises:
        DataError: There is no such file, or a line is no such record; names the line and the field.
    """
    return [from_line(kind, line, f"{path}, line {number}", what) for number, line in enumerate(read_jsonl(path), 1)]
