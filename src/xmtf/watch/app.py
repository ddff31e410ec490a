"""The routes of ``xmtf watch``: its page, its files, all runs as JSON, and events as they change."""

from __future__ import annotations

from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xmtf.loopback.checks import refusal
from xmtf.loopback.events import event_stream
from xmtf.loopback.pages import LOOK, Pages
from xmtf.watch.watcher import Watcher

__all__ = ["build_app"]

STATIC = Path(__file__).with_name("static")


def build_app(watcher: Watcher) -> Starlette:
    """Return the application; it must be behind :class:`xmtf.loopback.checks.Guarded`."""
    pages = Pages(STATIC, LOOK)

    async def index(request: Request) -> Response:
        return pages.answer("index.html")

    async def runs(request: Request) -> Response:
        found = await run_in_threadpool(watcher.look)
        return Response(orjson.dumps({"runs": [view for _, view in found.values()]}), media_type="application/json")

    async def events(request: Request) -> Response:
        return event_stream(watcher.events())

    return Starlette(
        routes=[
            Route("/", index),
            Route("/static/{name:path}", pages.endpoint),
            Route("/api/runs", runs),
            Route("/api/events", events),
        ],
        exception_handlers={HTTPException: _http_error},
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not-found", 405: "method"}.get(error.status_code, "http")
    return refusal(error.status_code, code, str(error.detail))
