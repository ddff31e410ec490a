"""``log.jsonl`` of a run: one event per line, each with a checksum of what it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import xxhash

from xmtf.errors import DataError
from xmtf.json_types import JsonObject

__all__ = ["append_event", "read_event", "read_events"]

_CHECK = "check"


def append_event(path: Path, event: JsonObject) -> None:
    """Append an event as a line; the file is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    value = orjson.loads(orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY))
    check = _checksum(orjson.dumps(value))  # of the text that reading gives again
    with path.open("ab") as stream:
        stream.write(orjson.dumps(value | {_CHECK: check}, option=orjson.OPT_APPEND_NEWLINE))


def read_event(line: bytes) -> JsonObject | None:
    """Return the event of a line without its checksum, or None where it was changed or cut short.

    Lines of earlier versions have no checksum.
    """
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        return None
    written = event.pop(_CHECK, None)
    return event if written in (None, _checksum(orjson.dumps(event))) else None


def read_events(path: Path) -> Iterator[JsonObject]:
    """Yield the events of a log.

    Raises:
        DataError: A line was changed or cut short; named by its number.
    """
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        event = read_event(line)
        if event is None:
            raise DataError(f"{path}: line {number} was changed or cut short; delete that line")
        yield event


def _checksum(text: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(text)
