"""Run an application until it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from xmtf.loopback.address import Address
from xmtf.loopback.checks import Guarded

__all__ = ["serve"]

_STOP_S = 1
"""Seconds that open answers get to end."""


class _Server(uvicorn.Server):
    """A server that says when it is ready, and for which a signal is the ordinary end."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready, self._stopping = ready, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:  # uvicorn's own raises the signal once more at the end
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def serve(
    app: ASGIApp,
    opened: socket.socket,
    address: Address,
    ready: Callable[[], None],
    stopping: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        app: What answers, behind the checks of :class:`xmtf.loopback.checks.Guarded`.
        opened: As :func:`xmtf.loopback.address.listen` gives it; closed at the end.
        address: Its address.
        ready: Called once requests are answered.
        stopping: Called in the server's loop before open answers are waited for; ends those that have no end.
    """
    config = uvicorn.Config(
        Guarded(app, address),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=_STOP_S,
        proxy_headers=False,
    )
    with contextlib.closing(opened):
        _Server(config, ready, stopping).run(sockets=[opened])
