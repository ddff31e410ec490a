"""Read ahead in a thread, so that a training step never waits for its data."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TypeVar

__all__ = ["prefetch"]

Item = TypeVar("Item")

_POLL_S = 0.1


def prefetch(items: Iterator[Item], ahead: int) -> Iterator[Item]:
    """Yield ``items`` in order while a thread makes the next ones.

    An error in the thread is raised here, after the items before it. Leaving the loop early stops the thread.

    Args:
        items: What to make.
        ahead: Most items waiting; 0 makes them without a thread.
    """
    if ahead <= 0:
        yield from items
        return
    waiting: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(maxsize=ahead)
    stop = threading.Event()

    def put(entry: tuple[bool, Item | BaseException | None]) -> None:
        while not stop.is_set():
            try:
                waiting.put(entry, timeout=_POLL_S)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put((True, item))
                if stop.is_set():
                    return
            put((False, None))
        except BaseException as error:  # noqa: BLE001 - handed to the reader, who raises it
            put((False, error))

    thread = threading.Thread(target=make, name="xmtf-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            more, value = waiting.get()
            if more:
                yield value  # type: ignore[misc]  # entries marked True hold an item
            elif isinstance(value, BaseException):
                raise value
            else:
                return
    finally:
        stop.set()
        thread.join()
