"""Server-sent events: an answer that comes piece by piece, from work that runs alongside the server's loop."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass

import orjson
from starlette.responses import StreamingResponse

from xmtf.errors import XmtfError
from xmtf.json_types import JsonObject

__all__ = ["Event", "event_stream"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        name: What listeners listen for.
        data: Its content.
    """

    name: str
    data: JsonObject

    def encode(self) -> bytes:
        """Return it as it goes over the wire; JSON has no line ends of its own."""
        return b"event: " + self.name.encode() + b"\ndata: " + orjson.dumps(self.data) + b"\n\n"


def event_stream(events: Iterable[Event] | AsyncIterable[Event]) -> StreamingResponse:
    """Answer with events as they come; what goes wrong on the way is the last of them, ``error``.

    Args:
        events: Made one after the other, in a thread of their own; in the server's loop where they can be waited for.
    """
    encoded = _encoded(events) if isinstance(events, Iterable) else _encoded_later(events)
    return StreamingResponse(encoded, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _encoded(events: Iterable[Event]) -> Iterator[bytes]:
    try:
        for event in events:
            yield event.encode()
    except XmtfError as error:
        yield Event("error", {"message": str(error)}).encode()


async def _encoded_later(events: AsyncIterable[Event]) -> AsyncIterator[bytes]:
    try:
        async for event in events:
            yield event.encode()
    except XmtfError as error:
        yield Event("error", {"message": str(error)}).encode()
