"""Text that people save: UTF-8, with or without a byte order mark; whatever else is named, with its line."""

from __future__ import annotations

import codecs
import errno
from collections.abc import Iterable
from pathlib import Path

__all__ = ["NotUtf8Error", "foreign_encoding", "not_utf8", "read_text_file", "without_mark"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
MAX_BYTES = 2**28
"""Bytes of a text that is read whole."""
_ADVICE = "save it as UTF-8"


class NotUtf8Error(ValueError):
    """Bytes are no UTF-8: says where, and what to do; rooms raise it as an error of their own."""


def foreign_encoding(start: bytes) -> str | None:
    """Return what is wrong with a text that begins with these bytes, or None where it may be UTF-8.

    >>> foreign_encoding("text".encode("utf-16"))
    'is UTF-16 text; save it as UTF-8'
    >>> foreign_encoding("{}".encode("utf-16-le"))
    'is UTF-16 text; save it as UTF-8'
    >>> foreign_encoding(b"text") is None
    True
    """
    name = next((name for mark, name in _MARKS if start.startswith(mark)), None)
    if name is None and len(start) >= 2 and (start[0] == 0) != (start[1] == 0):
        name = "UTF-16"
    return None if name is None else f"is {name} text; {_ADVICE}"


def without_mark(data: bytes) -> bytes:
    """Return the start of a text without its byte order mark."""
    return data.removeprefix(codecs.BOM_UTF8)


def not_utf8(blocks: Iterable[bytes]) -> str | None:
    r"""Return what the first bytes that are no UTF-8 are, with their line, or None where all of them are.

    >>> not_utf8([b"a\nb\n", b"caf\xe9\n"])
    'line 3 is not UTF-8 text (byte 0xe9); save it as UTF-8'
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, ends_with_return = 1, False
    for block in blocks:
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            start = max(0, error.start - waiting)
            byte = error.object[error.start]
            line = lines + _line_ends(block[:start], ends_with_return)
            return f"line {line} is not UTF-8 text (byte 0x{byte:02x}); {_ADVICE}"
        lines += _line_ends(block, ends_with_return)
        ends_with_return = block.endswith(b"\r") if block else ends_with_return
    if left := decoder.getstate()[0]:
        return f"line {lines} is not UTF-8 text (byte 0x{left[0]:02x} at its end); {_ADVICE}"
    return None


def _line_ends(block: bytes, after_return: bool) -> int:
    """Count line ends of any system; a line feed after a return that was counted before is part of it."""
    count = block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")
    return count - (after_return and block.startswith(b"\n"))


def read_text_file(path: Path, most: int = MAX_BYTES) -> str:
    """Return the text of a file, with line feeds as line ends and without a byte order mark.

    Args:
        path: The file; a device such as ``/dev/zero`` may never end.
        most: Bytes that are read at most.

    Raises:
        OSError: It cannot be read, or is larger.
        NotUtf8Error: It is no UTF-8; the message begins with the path.
    """
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    problem = foreign_encoding(data[:4])
    try:
        text = "" if problem else without_mark(data).decode("utf-8")
    except UnicodeDecodeError:
        problem = not_utf8([data])
    if problem:
        raise NotUtf8Error(f"{path}: {problem}")
    return text.replace("\r\n", "\n").replace("\r", "\n")
