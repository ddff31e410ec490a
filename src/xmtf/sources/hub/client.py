"""How the hub is reached, and what its refusals mean."""

from __future__ import annotations

import importlib
import os
import socket
import time
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar
from urllib.parse import urlsplit

from xmtf.errors import MissingSourceError, SourceError, require
from xmtf.extras import missing_modules

__all__ = [
    "ATTEMPTS",
    "CONVERTED",
    "ask",
    "check_reachable",
    "endpoint",
    "has_datasets",
    "hub_errors",
    "library",
    "network_forbidden",
    "refusal",
    "wait_s",
]

CONVERTED = "refs/convert/parquet"
"""Revision in which the hub keeps the Parquet files that it converted a dataset to."""

_DATASETS = "datasets"
ATTEMPTS = 5
"""How often the hub is asked for what it fails to give."""

_TRANSIENT = (408, 429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 60.0

Answer = TypeVar("Answer")


def endpoint() -> str:
    """Return the address of the hub, which ``HF_ENDPOINT`` names."""
    return str(library("huggingface_hub.constants").ENDPOINT)


def library(name: str = "huggingface_hub") -> ModuleType:
    """Return a client library of the hub, or a module of it; they take a while, and few commands need them.

    Raises:
        MissingExtraError: It is ``datasets``, which is not installed.
    """
    return require(name, "hub") if name.partition(".")[0] == _DATASETS else importlib.import_module(name)


def has_datasets() -> bool:
    """Whether the library ``datasets`` is installed; without it the hub's converted files are read."""
    return not missing_modules([_DATASETS])


def network_forbidden() -> bool:
    """Whether the environment forbids the network (``HF_HUB_OFFLINE`` or ``HF_DATASETS_OFFLINE``)."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    )


def check_reachable(what: object) -> None:
    """Fail at once where the hub's name does not resolve: the libraries would retry for a minute.

    Raises:
        MissingSourceError: No such host, and no proxy is set.
    """
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return
    host = urlsplit(endpoint()).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        raise MissingSourceError(f"{what}: the hub ({host}) cannot be reached from this machine") from None


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what the two libraries raise where the hub or the network lets them down."""
    # The bases are OSError and the base error of whichever HTTP client the library uses.
    of_client = library("huggingface_hub.errors").HfHubHTTPError.__bases__
    of_datasets = (library("datasets.exceptions").DatasetsError,) if has_datasets() else ()
    return (*of_client, *of_datasets, ValueError, LookupError, RuntimeError)


def ask(what: object, dataset: str, call: Callable[[], Answer]) -> Answer:
    """Ask the hub, again where it fails just now.

    Raises:
        MissingSourceError: It does not have what was asked for, or does not give it.
        SourceError: It failed every time.
    """
    failed = 0
    while True:
        try:
            return call()
        except hub_errors() as error:
            failed += 1
            problem = refusal(what, dataset, error)
            if isinstance(problem, MissingSourceError) or failed >= ATTEMPTS:
                raise problem from error
            wait = wait_s(error, failed)
        time.sleep(wait)


def wait_s(error: Exception, failed: int) -> float:
    """Return how long to wait: as long as the hub asks for, else ever longer."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    asked = headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 2.0 ** (failed - 1), _LONGEST_WAIT_S)


def status_of(error: BaseException | None) -> int | None:
    """Return the status that the hub answered, also where another error resulted from it."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__ or error.__context__
    return None


def refusal(what: object, dataset: str, error: Exception) -> SourceError:
    """Return what to raise: a miss where the hub does not have it or does not give it, else that it failed just now."""
    errors = library("huggingface_hub.errors")
    status, said = status_of(error), f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    if isinstance(error, errors.GatedRepoError) or "gated dataset" in said:
        return MissingSourceError(
            f"{what}: {dataset} is gated, and the hub denies it to {_reader()}; request access at "
            f"{endpoint()}/datasets/{dataset}, then set HF_TOKEN to a token of your account"
        )
    if status in _TRANSIENT:
        return SourceError(f"{what}: the hub failed (status {status}) after several tries; try again later")
    if status in (401, 403, 404, 410):
        return MissingSourceError(
            f"{what}: the hub has no {dataset} at this revision, or hides it from {_reader()}; see "
            f"{endpoint()}/datasets/{dataset}"
        )
    if status is None and isinstance(error, (ConnectionError, errors.HTTPError)):
        return SourceError(f"{what}: the connection to the hub failed ({said}); try again")
    return MissingSourceError(f"{what}: the hub refused it: {said}")


def _reader() -> str:
    return "users without a token" if library().get_token() is None else "this token"
