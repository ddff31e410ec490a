"""Files of records, one a line: what reading and writing them has in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from xmtf.files import read_jsonl, write_jsonl
from xmtf.text.lines import from_line, to_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["RecordFile", "read_records"]

Record = TypeVar("Record", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class RecordFile(Generic[Record]):
    """A file that a results folder may hold.

    Attributes:
        name: Of the file.
        kind: Dataclass of a record.
        what: What each line is, such as ``sample``.
    """

    name: str
    kind: type[Record]
    what: str

    def write(self, folder: Path, records: Iterable[Record]) -> None:
        """Write the records of a results folder, atomically."""
        write_jsonl(folder / self.name, map(to_line, records))

    def read(self, folder: Path) -> list[Record]:
        """Read the records of a results folder; none where it has no such file.

        Raises:
            DataError: A line is no such record; names the line and the field.
        """
        path = folder / self.name
        return read_records(self.kind, path, self.what) if path.exists() else []


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
