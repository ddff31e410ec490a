"""A file of the hub on this machine: resumed where an earlier attempt ended, and verified by its size and hash."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import MissingSourceError, SourceError
from xmtf.guards.alone import in_turn
from xmtf.sources.hub.client import ATTEMPTS, hub_errors, library, refusal, wait_s
from xmtf.sources.hub.files import HubFile, Listing

__all__ = ["UNFINISHED", "Wanted", "download_all"]

UNFINISHED = ".unfinished"
"""What is behind the name of a file that is not whole; a later attempt resumes it."""

_THREADS = 8
_WRONG_ATTEMPTS = 2
_CHUNK = 2**20

Tell = Callable[[int], None]
"""Told how many bytes came, or with a negative number were given up."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the hub, and where it shall lie."""

    listing: Listing
    file: HubFile
    target: Path


def download_all(wanted: Sequence[Wanted], tell: Tell = lambda count: None) -> dict[Path, SourceError]:
    """Download files side by side; what is there stays.

    Returns:
        Target -> why it could not be had; empty where all are there now.
    """
    unique = list({each.target: each for each in wanted}.values())
    problems: dict[Path, SourceError] = {}

    def one(each: Wanted) -> None:
        try:
            download(each, tell)
        except SourceError as error:
            problems[each.target] = error

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="hub") as pool:
        list(pool.map(one, unique))
    return problems


def download(wanted: Wanted, tell: Tell) -> None:
    """Download one file.

    Raises:
        MissingSourceError: The hub does not give it.
        SourceError: It failed again and again, or sends other bytes than it says.
    """
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    with in_turn(wanted.target):
        if wanted.target.is_file():  # of an earlier call, or another process has brought it meanwhile
            if _hash_of(wanted.target, wanted.file) != wanted.file.name:
                raise SourceError(
                    f"{wanted.target}: exists and differs from {wanted.file.path} of {wanted.listing.dataset} on the "
                    f"hub; delete it to fetch it"
                )
            tell(wanted.file.size)
            return
        unfinished = wanted.target.with_name(wanted.target.name + UNFINISHED)
        tell(_size(unfinished))
        for _ in range(_WRONG_ATTEMPTS):
            _receive_all(wanted, unfinished, tell)
            found = _hash_of(unfinished, wanted.file)
            if found == wanted.file.name:
                unfinished.replace(wanted.target)
                return
            tell(-_size(unfinished))
            unfinished.unlink()
    raise SourceError(
        f"{wanted.listing.dataset}: {wanted.file.path}: the downloaded bytes have the hash {found}, but the hub gives "
        f"{wanted.file.name}; they are discarded; try again, or from another network"
    )


def _receive_all(wanted: Wanted, unfinished: Path, tell: Tell) -> None:
    """Receive what is missing of a file, over as many connections as it takes while something comes."""
    failed = 0
    while (before := _size(unfinished)) < wanted.file.size or not unfinished.exists():
        wait = 0.0
        try:
            _receive(wanted, unfinished, tell)
            if _size(unfinished) == before:
                raise ConnectionError("the answer was empty")
        except hub_errors() as error:
            failed = 1 if _size(unfinished) > before else failed + 1
            problem = refusal(f"{wanted.listing.dataset}: {wanted.file.path}", wanted.listing.dataset, error)
            if isinstance(problem, MissingSourceError) or failed >= ATTEMPTS:
                raise problem from error
            wait = wait_s(error, failed)
        if wait:
            time.sleep(wait)
    if _size(unfinished) > wanted.file.size:  # of another version, or an answer that is too long
        tell(wanted.file.size - _size(unfinished))
        with unfinished.open("r+b") as file:
            file.truncate(wanted.file.size)


def _receive(wanted: Wanted, unfinished: Path, tell: Tell) -> None:
    utils = library("huggingface_hub.utils")
    start = _size(unfinished)
    headers = utils.build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    url = wanted.listing.url(wanted.file)
    timeout = library("huggingface_hub.constants").HF_HUB_DOWNLOAD_TIMEOUT
    with (
        library().get_session().stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as response
    ):
        utils.hf_raise_for_status(response)
        if start and response.status_code != 206:
            tell(-start)
            start = 0
        with unfinished.open("ab" if start else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                tell(len(chunk))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hash_of(path: Path, file: HubFile) -> str:
    """Return the hash that the hub gives for a file: SHA-256 of a large one, else git's."""
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
