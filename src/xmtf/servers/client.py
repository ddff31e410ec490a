"""A server asked over HTTP: keys from the environment, many requests at once, sent again where it was busy.

The package ``openai`` (extra ``openai``) does the talking; which requests are sent again, after how long, and what
counts against a limit is decided here, so that it can be said.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, TypeVar

from xmtf.errors import ConfigError, ServerError, require
from xmtf.json_types import JsonObject
from xmtf.progress import say
from xmtf.servers.reference import OPENAI
from xmtf.servers.spending import Limits, Spending

__all__ = ["Asking", "FailingError", "ModelServer", "RefusedError"]

Item = TypeVar("Item")
Found = TypeVar("Found")

_BUSY = frozenset({408, 409, 425, 429})
_LONGEST_WAIT_S = 600.0
_SAID_FROM_S = 5.0
_NO_KEY = "none"


class _AnsweredError(ServerError):
    """What a server said is an error.

    Args:
        message: Names the server and what it said.
        status: The status of its answer, 0 where there was none.
        said: What it said.
    """

    def __init__(self, message: str, status: int = 0, said: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.said = said

    def __reduce__(self) -> tuple[type[_AnsweredError], tuple[str, int, str]]:
        """Pickle by the arguments."""
        return type(self), (str(self), self.status, self.said)


class RefusedError(_AnsweredError):
    """The server understood a request and refuses it: asking again would not help."""


class FailingError(_AnsweredError):
    """The server was busy, failed or could not be reached each time that it was asked."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a server is asked.

    Attributes:
        concurrency: Requests at once.
        timeout_s: Seconds after which a request is given up, and sent again.
        retries: How often one is sent again.
        extra_body: Keys that are added to each request; a key that is null is left out of it.
        limits: Where asking ends.
    """

    concurrency: int = 8
    timeout_s: float = 120.0
    retries: int = 6
    extra_body: Mapping[str, object] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


class ModelServer:
    """One model of one server.

    Args:
        url: Address of the interface, such as ``http://localhost:8000/v1``.
        name: What the server calls the model.
        asking: How it is asked.

    Raises:
        MissingExtraError: The package openai is not installed.
        ConfigError: No key is set for OpenAI's own server.
    """

    def __init__(self, url: str, name: str, asking: Asking | None = None) -> None:
        self._openai: Any = require("openai", "openai")
        self._key = os.environ.get("OPENAI_API_KEY") or _NO_KEY
        if self._key == _NO_KEY and url.startswith(OPENAI):
            raise ConfigError("OPENAI_API_KEY is not set; set it, or give your own server (openai:URL#NAME)")
        self.url = url
        self.name = name
        self.asking = asking or Asking()
        self.spending = Spending(self.asking.limits)
        self._stopping = threading.Event()
        self._client = self._openai.OpenAI(
            api_key=self._key, base_url=url, timeout=self.asking.timeout_s, max_retries=0
        )

    def ask(self, path: str, body: Mapping[str, object], *, retries: int | None = None) -> JsonObject:
        """Send a request and return the answer; the model's name and ``extra_body`` are added.

        Args:
            path: Such as ``/completions``.
            body: Of the request.
            retries: Most times that it is sent again, where that is fewer than for others.

        Raises:
            RefusedError: The server refuses it.
            FailingError: It is busy or fails each time.
            ServerError: It answers with something else; or a limit is reached.
        """
        reply = self._sent(lambda: self._client.post(path, cast_to=object, body=self._body(body)), retries)
        if not isinstance(reply, dict):
            raise ServerError(f"{self.url}: the answer is not a JSON object; is this the address of the API?")
        self.spending.add(reply)
        return reply

    def stream(self, path: str, body: Mapping[str, object]) -> Iterator[JsonObject]:
        """Send a request and yield the pieces of its answer; sent again only before the first of them.

        Raises:
            ServerError: As of :meth:`ask`.
        """
        whole = self._body({**body, "stream": True})
        found = self._sent(
            lambda: self._client.post(
                path, cast_to=object, body=whole, stream=True, stream_cls=self._openai.Stream[object]
            )
        )
        last: JsonObject = {}
        try:
            for piece in found:
                if isinstance(piece, dict):
                    last = piece if piece.get("usage") else last
                    yield piece
        except self._openai.OpenAIError as error:
            raise ServerError(f"{self.url}: the answer was cut off: {self._said(error)}") from None
        self.spending.add(last)

    def get(self, path: str) -> JsonObject | None:
        """Return what a server says at an address, or None where it has none; asked once, and not counted."""
        try:
            found = self._client.get(path, cast_to=object)
        except self._openai.OpenAIError:
            return None
        return found if isinstance(found, dict) else None

    def each(self, items: Sequence[Item], work: Callable[[Item], Found]) -> Iterator[tuple[int, Found]]:
        """Yield (index of an item, what ``work`` made of it) as soon as it is made, in any order.

        After an error nothing more is begun; what was under way is waited for and yielded, then the error is raised.
        """
        failure: BaseException | None = None
        pool = ThreadPoolExecutor(max_workers=max(1, min(self.asking.concurrency, len(items))))
        waiting: dict[Future[Found], int] = {}
        try:
            waiting = {pool.submit(work, item): index for index, item in enumerate(items)}
            for future in as_completed(waiting):
                if future.cancelled():
                    continue
                error = future.exception()
                if error is None:
                    yield waiting[future], future.result()
                    continue
                failure = failure or error
                self._stopping.set()  # those that wait to be sent again wait no longer
                for other in waiting:
                    other.cancel()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        self._stopping.clear()
        if failure is not None:
            raise failure

    def _body(self, body: Mapping[str, object]) -> dict[str, object]:
        whole = {"model": self.name, **body, **self.asking.extra_body}
        return {name: value for name, value in whole.items() if value is not None}

    def _sent(self, send: Callable[[], object], retries: int | None = None) -> Any:
        """Send once, and again while the server is busy or cannot be reached."""
        retries = self.asking.retries if retries is None else min(retries, self.asking.retries)
        for attempt in range(retries + 1):
            self.spending.begin()
            try:
                return send()
            except self._openai.APIConnectionError as error:  # also where it took too long
                failed, wait = error, 0.0
            except self._openai.APIStatusError as error:
                if not self._is_busy(error):
                    said = self._said(error)
                    raise RefusedError(
                        f"{self.url}: status {error.status_code}: {said}", error.status_code, said
                    ) from None
                failed, wait = error, _asked_wait(error.response.headers)
            except self._openai.OpenAIError as error:
                raise ServerError(f"{self.url}: {self._said(error)}") from None
            except ValueError:
                raise ServerError(f"{self.url}: the answer is not JSON; is this the address of the API?") from None
            if attempt == retries or self._pause(max(wait, _backoff(attempt)), failed):
                break
        tries = "once" if attempt == 0 else f"{attempt + 1} times"
        said = self._said(failed)
        raise FailingError(
            f"{self.url}: tried {tries}, last: {said}", getattr(failed, "status_code", 0), said
        ) from None

    def _is_busy(self, error: Any) -> bool:
        if getattr(error, "code", None) == "insufficient_quota":
            return False
        return error.status_code in _BUSY or error.status_code >= 500

    def _pause(self, wait_s: float, error: Exception) -> bool:
        """Wait before a request is sent again; return whether nothing is to be sent any more."""
        wait_s = min(wait_s, _LONGEST_WAIT_S)
        if wait_s >= _SAID_FROM_S:
            say(f"  {self.url}: {self._said(error)}; retrying in {wait_s:.0f} s")
        return self._stopping.wait(wait_s)

    def _said(self, error: Exception) -> str:
        """Return what an error says in one line, without the key."""
        response = getattr(error, "response", None)
        cause = error.__cause__
        if response is not None:
            text = _message_in(response) or f"status {response.status_code}"
        else:
            text = f"{type(error).__name__}: {error}{f' ({cause})' if cause is not None and str(cause) else ''}"
        text = " ".join(text.split())
        return text.replace(self._key, "***")[:300] if self._key != _NO_KEY else text[:300]


def _message_in(response: Any) -> str:
    """Return what a server says of an error, in whichever of the usual forms."""
    try:
        told = response.json()
    except ValueError:
        return str(response.text)
    for name in ("error", "message", "detail"):
        told = told.get(name, told) if isinstance(told, dict) else told
    return told if isinstance(told, str) else str(response.text)


def _backoff(attempt: int) -> float:
    return float(min(60.0, 0.5 * 2**attempt)) * random.uniform(0.75, 1.25)  # spreads requests


def _asked_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds after which a busy server asks to be asked again, 0 where it does not say."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        with suppress(KeyError, ValueError):
            return max(0.0, float(headers[name]) * unit)
    with suppress(KeyError, ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time())
    return 0.0
