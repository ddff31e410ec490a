"""Files that grow line by line while somebody else writes them, and that may be cut or replaced meanwhile."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

__all__ = ["GrowingFile", "NewLines"]

_KNOWN_END = 256
"""Bytes before the place reached that must still be what was read, or the file is another one."""
_LONGEST_LINE = 64 * 2**20


@dataclass(frozen=True, slots=True)
class NewLines:
    """What has come since the last look.

    Attributes:
        again: The file is another one than before, or was cut: all that was read of it counts no longer.
        lines: Whole lines, without their ends.
        behind: Bytes that were not read yet.
        is_torn: Something is behind the last whole line.
    """

    anew: bool = False
    lines: list[bytes] = field(default_factory=list)
    behind: int = 0
    is_torn: bool = False


@dataclass(slots=True)
class GrowingFile:
    """A file of lines, read from where the last look ended.

    Training that resumes writes its log again without what was rolled back. Such a file has another inode, is shorter,
    or has other bytes before the place reached; then it is read from its beginning.

    Attributes:
        path: The file; it need not be there.
        offset: Bytes of whole lines that were read.
        size: Bytes that it had at the last look.
    """

    path: Path
    offset: int = 0
    size: int = 0
    _inode: tuple[int, int] = (0, 0)
    _end: bytes = b""

    def read(self, most: int) -> NewLines:
        """Read on, about ``most`` bytes; a line is never cut.

        Raises:
            OSError: It cannot be read, for another reason than that it is not there.
        """
        try:
            stream = _opened(self.path)
        except (FileNotFoundError, NotADirectoryError):
            anew = self.offset > 0
            self._begin((0, 0))
            return NewLines(anew)
        with stream:
            about = os.fstat(stream.fileno())
            inode = (about.st_dev, about.st_ino)
            anew = self.offset > 0 and (inode != self._inode or about.st_size < self.offset or self._differs(stream))
            if anew or not self.offset:
                self._begin(inode)
            self.size = about.st_size
            if about.st_size == self.offset:
                return NewLines(anew)
            stream.seek(self.offset)
            block = stream.read(most)
            while b"\n" not in block and self.offset + len(block) < self.size and len(block) < _LONGEST_LINE:
                block += stream.read(most)
        end = block.rfind(b"\n") + 1
        if end == 0 and len(block) >= _LONGEST_LINE:  # no line of ours: passed over up to here
            end = len(block)
        self.offset += end
        self._end = (self._end + block[:end])[-_KNOWN_END:]
        behind = max(0, self.size - self.offset)
        return NewLines(anew, block[:end].split(b"\n")[:-1], behind, is_torn=0 < len(block) - end == behind)

    def _begin(self, inode: tuple[int, int]) -> None:
        self.offset, self.size, self._end, self._inode = 0, 0, b"", inode

    def _differs(self, stream: BufferedReader) -> bool:
        stream.seek(self.offset - len(self._end))
        return stream.read(len(self._end)) != self._end


def _opened(path: Path) -> BufferedReader:
    """Open an ordinary file; a pipe or a device, which may block for ever, counts as none.

    Raises:
        FileNotFoundError: It is not there, or is no ordinary file.
    """
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise FileNotFoundError(path)
    return os.fdopen(file, "rb")
