"""Parquet files of the hub read where they are, block by block, without a copy on this machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import SourceError
from xmtf.sources.hub.client import endpoint, hub_errors, library, refusal
from xmtf.sources.hub.files import HubFile, Listing

__all__ = ["STREAM", "RemoteFile", "is_streaming"]

STREAM = "XMTF_HUB_STREAM"
"""Environment variable: 1 reads converted datasets of the hub without keeping a copy."""

_BLOCK_ROWS = 16_384
_READ_BYTES = 2**22


def is_streaming() -> bool:
    """Whether converted datasets are read where they are.

    Raises:
        SourceError: The variable holds something other than 0 or 1.
    """
    value = os.environ.get(STREAM, "").strip()
    if value not in ("", "0", "1"):
        raise SourceError(f"{STREAM}={value}: set 1 to read hub datasets without keeping a copy, or 0")
    return value == "1"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A Parquet file of the hub."""

    listing: Listing
    file: HubFile

    def __str__(self) -> str:
        return f"{self.listing.dataset}/{self.file.path}"

    def schema(self) -> tuple[pa.Schema, int]:
        """Return its columns and the number of its rows; reads the end of the file alone.

        Raises:
            SourceError: It cannot be read.
        """
        with self._opened() as parquet:
            return parquet.schema_arrow.remove_metadata(), parquet.metadata.num_rows

    def blocks(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield its rows, some thousand at a time; only what is needed of the file is read.

        Raises:
            SourceError: It cannot be read.
        """
        with self._opened() as parquet:
            for batch in parquet.iter_batches(_BLOCK_ROWS, columns=columns):
                yield pa.Table.from_batches([batch]).replace_schema_metadata(None)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        system = library().HfFileSystem(endpoint=endpoint())
        path = f"datasets/{self.listing.dataset}@{self.listing.commit}/{self.file.path}"
        try:
            with system.open(path, "rb", block_size=_READ_BYTES) as opened, pq.ParquetFile(opened) as parquet:
                yield parquet
        except pa.ArrowException as error:
            raise SourceError(f"{self}: cannot be read: {' '.join(str(error).split())}") from None
        except hub_errors() as error:
            raise refusal(str(self), self.listing.dataset, error) from error
