"""Processes that end with the command that started them, however it ends, also where another program is between.

The command listens; whoever is tied to it holds a connection open, which the system closes when the command is gone.
``torchrun`` starts its ranks without the open files of its parent, and in their own sessions: it passes on only the
environment, so that is where the port stands. A signal at a parent's death would follow the thread that forked.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["TETHER", "follow_parent", "tether"]

TETHER = "XMTF_TETHER"
"""Environment variable with the port at which the command listens that this process ends with."""
_CONNECT_S = 30.0
_MOST = 4096


@contextmanager
def tether() -> Iterator[dict[str, str]]:
    """Give the environment variables that tie processes to this one for the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=_MOST) as server:
        yield {TETHER: str(server.getsockname()[1])}


def follow_parent() -> None:
    """End this process when the command is gone that it is tied to; without one, do nothing."""
    port = os.environ.get(TETHER)
    if port is None:
        return
    try:
        connection = socket.create_connection(("127.0.0.1", int(port)), timeout=_CONNECT_S)
    except OSError:
        os._exit(1)  # it is gone already
    connection.settimeout(None)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()


def _end_with(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.recv(1)
    os._exit(1)
