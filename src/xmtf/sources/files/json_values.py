"""JSON lines, and arrays of JSON, as values with the line or item that each is in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import orjson

from xmtf.errors import SourceError
from xmtf.sources.files.lines import line_blocks
from xmtf.sources.files.unpack import open_unpacked, text_problem
from xmtf.text.files import foreign_encoding, without_mark

__all__ = ["json_objects", "json_values"]

_MOST_ARRAY_BYTES = 2**30
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG_NUMBER = re.compile(rb"[0-9]{19}")

Numbered = tuple[int, object, bytes]
"""Number of a line or item, its value, and its bytes; of items no bytes."""


def json_values(path: Path, *, array: bool = False) -> Iterator[Numbered]:
    """Yield every value of JSON lines, blank lines left out; with ``array`` also the items of a file that is an array.

    Raises:
        SourceError: The file cannot be read, is no UTF-8, or holds what is not JSON, half of a character or one key
            twice in an object; names the line.
    """
    if array and _first_byte(path) == b"[":
        yield from _items(path)
        return
    for first, block in line_blocks(path):
        for number, line in enumerate(block.splitlines(), start=first):
            if line and not line.isspace():
                yield number, _value(line, path, number), line


def json_objects(path: Path, *, array: bool = False) -> Iterator[tuple[int, dict[str, object], bytes]]:
    """Yield every object of JSON lines, or of an array, with its number.

    Raises:
        SourceError: As :func:`json_values`, or a value is not an object, or a ``.json`` file holds columns, not rows.
    """
    first: dict[str, object] | None = None
    count = 0
    for number, value, line in json_values(path, array=array):
        if not isinstance(value, dict):
            is_array = isinstance(value, list) and number == 1
            more = "; a file with a single array must be named .json" if is_array and not array else ""
            raise SourceError(f"{path}: line {number} is not a JSON object with the columns as keys{more}")
        first, count = first if count else value, count + 1
        yield number, value, line
    if array and count == 1 and first is not None and _are_columns(first):
        raise SourceError(
            f"{path}: holds one object of columns; write one object per row (pandas: orient='records'). "
            "A file with a single row of lists must be named .jsonl"
        )


def _are_columns(only: dict[str, object]) -> bool:
    """Return whether an object holds columns: several lists of one length, or mappings from the numbers of rows."""
    values = list(only.values())
    if all(isinstance(value, dict) and "0" in value for value in values):
        return bool(values)
    lists = [value for value in values if isinstance(value, list)]
    if len(lists) < max(2, len(values)) or len({len(each) for each in lists}) != 1:
        return False
    return len(lists[0]) > 1 and not any(isinstance(item, dict | list) for each in lists for item in each)


def may_hold_long_numbers(line: bytes) -> bool:
    """Return whether a line holds so many digits in a row that a whole number may have more than 64 bits."""
    return not line or _LONG_NUMBER.search(line) is not None


def _first_byte(path: Path) -> bytes:
    with open_unpacked(path) as stream:
        return without_mark(stream.read(4096)).lstrip()[:1]


def _items(path: Path) -> Iterator[Numbered]:
    with open_unpacked(path) as stream:
        data = stream.read(_MOST_ARRAY_BYTES)
        while more := stream.read(_MOST_ARRAY_BYTES):
            data += more
            if len(data) > _MOST_ARRAY_BYTES:
                raise SourceError(f"{path}: a JSON array of more than a gigabyte; save it as JSON lines (.jsonl)")
    problem = foreign_encoding(data[:4])
    if problem is not None:
        raise SourceError(f"{path}: {problem}")
    text = without_mark(data).strip()
    values = _value(text, path, None)
    if _LONG_NUMBER.search(text):
        values = json.loads(text)  # keeps whole numbers of any size as they are
    assert isinstance(values, list)
    for number, value in enumerate(values, start=1):
        yield number, value, b""


def _value(text: bytes, path: Path, number: int | None) -> object:
    """Return the value of a line, or of a whole file where it has none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        where = f"{path}: line {error.lineno if number is None else number}"
        raise SourceError(_explain(text, error, path, where)) from None
    if text.count(b'":') + text.count(b'" :') != _num_keys(value):
        twice = _twice(text)
        if twice is not None:
            where = f"{path}: line {number}" if number is not None else str(path)
            raise SourceError(f"{where}: the key {twice!r} occurs twice in one object; remove one of them")
    return value


def _explain(text: bytes, error: orjson.JSONDecodeError, path: Path, where: str) -> str:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return f"{path}: {text_problem(path)}"
    if "surrogate" in str(error) and _HALF_PAIR.search(text):
        return f"{where} contains half a character (an unpaired \\ud800 to \\udfff, not text); remove it"
    form = "; a .json file contains an array of objects, or one object per line" if ".json" in path.suffixes else ""
    return f"{where} is not JSON: {error.msg} (character {error.colno}){form}"


def _num_keys(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_num_keys(each) for each in value.values() if isinstance(each, (dict, list)))
    if isinstance(value, list):
        return sum(_num_keys(each) for each in value if isinstance(each, (dict, list)))
    return 0


def _twice(text: bytes) -> str | None:
    """Return a key that occurs twice in one object, or None."""
    found: list[str] = []

    def keys(pairs: list[tuple[str, object]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            found.append(next(name for place, name in enumerate(names) if name in names[:place]))

    json.loads(text, object_pairs_hook=keys)
    return found[0] if found else None
