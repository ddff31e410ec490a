"""Files opened as streams, packed or not; what cannot be read, and what unpacks without end, is one line."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from xmtf.errors import SourceError
from xmtf.text.files import foreign_encoding, not_utf8

__all__ = ["BLOCK_BYTES", "Unpacked", "check_text", "open_seekable", "open_unpacked", "text_problem"]

BLOCK_BYTES = 16 * 2**20
"""Read at a time."""

_MOST_RATIO, _SUSPECT_BYTES = 200, 2**28
"""A file that unpacks to more times its size, and to more bytes, is no data: texts shrink to a tenth."""

_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)


class Unpacked(io.RawIOBase):
    """The unpacked bytes of a file, from its start to its end.

    Args:
        stream: What unpacks.
        path: The file, for messages.
        packed: Whether it is packed.
    """

    def __init__(self, stream: BinaryIO, path: Path, *, packed: bool) -> None:
        self._stream = stream
        self._path = path
        self._most = max(_SUSPECT_BYTES, _MOST_RATIO * path.stat().st_size) if packed else None
        self._total = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, ``size`` at most, none at the end.

        Raises:
            SourceError: The file is cut or damaged, or unpacks to far more than texts do.
        """
        if self._most is not None:
            size = self._most + 1 if size < 0 else min(size, self._most + 1)
        try:
            data = self._stream.read(size)
        except _DAMAGE as error:
            raise SourceError(f"{self._path}: cannot be read: {error}; copy or compress it again") from None
        self._total += len(data)
        if self._most is not None and self._total > self._most:
            raise SourceError(
                f"{self._path}: unpacks to more than {_MOST_RATIO} times its size; if this is intended, unpack it "
                f"yourself"
            )
        return data

    def readall(self) -> bytes:
        """Return all that is left."""
        return b"".join(iter(lambda: self.read(BLOCK_BYTES), b""))

    def close(self) -> None:
        """Close what it reads from."""
        self._stream.close()
        super().close()


@contextlib.contextmanager
def open_unpacked(path: Path) -> Iterator[Unpacked]:
    """Open a file by its name: packed ones are unpacked as they are read.

    Raises:
        SourceError: It is missing or cannot be opened; reading raises it too.
    """
    try:
        stream = _stream(path)
        unpacked = Unpacked(stream, path, packed=not isinstance(stream, io.FileIO))
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file (looked in {path.parent.resolve()})") from None
    except _DAMAGE as error:
        raise SourceError(f"{path}: cannot be read: {error}") from None
    with unpacked:
        yield unpacked


def _stream(path: Path) -> BinaryIO:
    name = path.name.lower()
    if name.endswith(".gz"):
        return cast("BinaryIO", gzip.open(path))
    if name.endswith(".bz2"):
        return cast("BinaryIO", bz2.open(path))
    if name.endswith(".xz"):
        return cast("BinaryIO", lzma.open(path))
    if name.endswith(".zst"):
        return cast("BinaryIO", pa.input_stream(str(path), compression="zstd"))
    return cast("BinaryIO", path.open("rb", buffering=0))


@contextlib.contextmanager
def open_seekable(path: Path, *, packed: bool) -> Iterator[object]:
    """Open a file whose format is read from its end: a packed one is unpacked to a temporary file first.

    Raises:
        SourceError: As :func:`open_unpacked`.
    """
    if not packed:
        yield str(path)
        return
    with tempfile.TemporaryFile() as whole, open_unpacked(path) as stream:
        for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
            whole.write(block)
        whole.seek(0)
        yield whole


def text_problem(path: Path) -> str | None:
    """Return where the bytes of a file are no UTF-8, or None."""
    with open_unpacked(path) as stream:
        start = stream.read(BLOCK_BYTES)
        return foreign_encoding(start[:4]) or not_utf8(_blocks(start, stream))


def _blocks(start: bytes, stream: Unpacked) -> Iterator[bytes]:
    yield start
    yield from iter(lambda: stream.read(BLOCK_BYTES), b"")


def check_text(path: Path) -> None:
    """Refuse a file whose bytes are no UTF-8.

    Raises:
        SourceError: It is one; names the line.
    """
    problem = text_problem(path)
    if problem is not None:
        raise SourceError(f"{path}: {problem}")
