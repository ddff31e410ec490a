"""A text file as blocks of whole lines, whatever its line ends are and however long a line is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xmtf.errors import SourceError
from xmtf.sources.files.unpack import BLOCK_BYTES, Unpacked, open_unpacked, text_problem
from xmtf.text.files import foreign_encoding, without_mark

__all__ = ["line_blocks", "num_lines", "read_whole_text", "text_lines"]

MOST_BYTES = 2**30
"""Of one line; a record of a gigabyte is a mistake."""


def line_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (number of its first line, whole lines), some megabytes together.

    Raises:
        SourceError: The file cannot be read, is UTF-16, or has a line of more than a gigabyte; names the line.
    """
    with open_unpacked(path) as stream:
        number, waiting, held = 1, list[bytes](), 0
        for block in _text_blocks(stream, path):
            cut = _end_of_lines(block)
            if not cut:
                waiting.append(block)
                held += len(block)
                if held > MOST_BYTES:
                    raise SourceError(
                        f"{path}: line {number} has more than a gigabyte; split it into rows, one per line"
                    )
                continue
            whole = b"".join([*waiting, block[:cut]])
            yield number, whole
            number += num_lines(whole)
            waiting, held = [block[cut:]], len(block) - cut
        rest = b"".join(waiting)
        if rest:
            yield number, rest


def _text_blocks(stream: Unpacked, path: Path) -> Iterator[bytes]:
    start = stream.read(BLOCK_BYTES)
    problem = foreign_encoding(start[:4])
    if problem is not None:
        raise SourceError(f"{path}: {problem}")
    yield without_mark(start)
    yield from iter(lambda: stream.read(BLOCK_BYTES), b"")


def _end_of_lines(block: bytes) -> int:
    """Return where the last whole line of a block ends; a return at its very end may belong to a line feed."""
    cut = block.rfind(b"\n") + 1
    return cut or block.rfind(b"\r", 0, len(block) - 1) + 1


def num_lines(block: bytes) -> int:
    r"""Return the number of line ends of any system.

    >>> num_lines(b"a\nb\r\nc\r")
    3
    """
    return block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def decoded_blocks(path: Path) -> Iterator[str]:
    """Yield the text of a file in blocks of whole lines, with line feeds as line ends.

    Raises:
        SourceError: As :func:`line_blocks`, or it is no UTF-8; names the line.
    """
    for _, block in line_blocks(path):
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError:
            raise SourceError(f"{path}: {text_problem(path)}") from None
        yield text.replace("\r\n", "\n").replace("\r", "\n")


def text_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text file, without their ends.

    Raises:
        SourceError: As :func:`decoded_blocks`.
    """
    for text in decoded_blocks(path):
        yield from text.removesuffix("\n").split("\n")


def read_whole_text(path: Path) -> str:
    """Return the text of a file, with line feeds as line ends.

    Raises:
        SourceError: As :func:`decoded_blocks`.
    """
    return "".join(decoded_blocks(path))
