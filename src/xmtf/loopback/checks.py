"""What every request must fulfil before anything answers it, and what every answer says to the browser.

``Host`` must be a name of this server (a website whose name is made to lead here is refused), ``Origin`` must be the
server itself, requests that change something say where they come from, and all but the first page needs the cookie
that the token was exchanged for, or the token itself as ``Authorization: Bearer``.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xmtf.loopback.address import Address

__all__ = ["HEADERS", "MAX_BODY", "Guarded", "refusal"]

MAX_BODY = 8 * 2**20
"""Bytes of a request."""
_TOO_LARGE = f"a request may have at most {MAX_BODY:,} bytes"

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every answer: scripts and styles of this server alone, no frames around it, nothing kept."""

_SAFE = ("GET", "HEAD")
_METHODS = (*_SAFE, "POST", "PUT", "DELETE")


def refusal(status: int, code: str, message: str) -> JSONResponse:
    """Return an error in the form of the interface."""
    return JSONResponse({"error": {"code": code, "message": message, "line": None}}, status)


class Guarded:
    """An application behind the checks."""

    def __init__(self, app: ASGIApp, address: Address, headers: dict[str, str] | None = None) -> None:
        """Prepare.

        Args:
            app: What answers.
            address: Where it listens, with its secrets.
            headers: Of every answer; default :data:`HEADERS`.
        """
        self._app = app
        self._address = address
        self._headers = HEADERS if headers is None else headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request and answer it."""
        if scope["type"] == "websocket":  # there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    given[name] = value
            await send(message)

        answer = self._refused(scope) or self._app
        await answer(scope, _limited(receive), sending)

    def _refused(self, scope: Scope) -> Response | None:
        """Return what answers a request that may not pass, or None."""
        headers = Headers(scope=scope)
        if scope["method"] not in _METHODS:
            return refusal(405, "method", f"{scope['method']} is not supported")
        hosts = headers.getlist("host")
        reached_at = scope["server"][0] if scope.get("server") else None
        if len(hosts) != 1 or hosts[0].lower() not in self._address.names(reached_at):
            return refusal(403, "host", "this server answers only under the address that it printed")
        if (problem := self._foreign(scope, headers, hosts[0])) is not None:
            return problem
        if (length := headers.get("content-length")) is not None and not _fits(length):
            return refusal(413, "too-large", _TOO_LARGE)
        if scope["path"] == "/" and scope["method"] in _SAFE and (token := _token(scope)) is not None:
            return self._welcome(token)
        if not (self._knows_cookie(headers) or self._knows_bearer(headers)):
            return refusal(401, "token", "open the address that the command printed, with its token")
        return None

    def _foreign(self, scope: Scope, headers: Headers, host: str) -> Response | None:
        """Refuse what another website made the browser send."""
        origins = headers.getlist("origin")
        if origins and (len(origins) != 1 or origins[0].lower() != f"http://{host.lower()}"):
            return refusal(
                403, "origin", "this request comes from another website; only this server's page is answered"
            )
        is_page = scope["path"] == "/" and scope["method"] in _SAFE
        if not is_page and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return refusal(
                403, "origin", "this request comes from another website; only this server's page is answered"
            )
        if scope["method"] not in _SAFE and not origins and not self._knows_bearer(headers):
            return refusal(403, "origin", "a request that changes something must have an Origin or the token")
        return None

    def _welcome(self, token: str) -> Response:
        if not _same(token, self._address.token):
            return refusal(401, "token", "this is not the token of this server; open the address that it printed")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._address.cookie, self._address.session, path="/", httponly=True, samesite="strict")
        return answer

    def _knows_cookie(self, headers: Headers) -> bool:
        for line in headers.getlist("cookie"):
            try:
                found = SimpleCookie(line).get(self._address.cookie)
            except CookieError:
                continue
            if found is not None and _same(found.value, self._address.session):
                return True
        return False

    def _knows_bearer(self, headers: Headers) -> bool:
        kind, _, value = headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and _same(value.strip(), self._address.token)


def _same(given: str, secret: str) -> bool:
    """Compare in a time that does not depend on how much is right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret.encode())


def _token(scope: Scope) -> str | None:
    given = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True).get("token")
    return given[0] if given else None


def _fits(length: str) -> bool:
    return length.isascii() and length.isdecimal() and int(length[:20]) <= MAX_BODY


def _limited(receive: Receive) -> Receive:
    """Count what comes in, whatever the request said of its length."""
    seen = 0

    async def receiving() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                raise HTTPException(413, _TOO_LARGE)
        return message

    return receiving
