"""What ``--model openai:URL#NAME`` and ``--model vllm:ID`` mean.

=============================================  ====================================================================
``openai:http://localhost:8000/v1#NAME``        the model NAME of the server at that address
``openai:NAME``                                 the same at ``OPENAI_BASE_URL``, or at OpenAI's own address
``vllm:ID``                                     a folder or hub id, loaded by the package vllm in this process
=============================================  ====================================================================

Keys are in the environment (``OPENAI_API_KEY``) and never in a reference: references are written into results.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from xmtf.errors import ConfigError

__all__ = ["OPENAI", "ServedReference", "clean_url", "is_served", "parse_served", "refuse_served"]

OPENAI = "https://api.openai.com/v1"
_PREFIXES = ("openai:", "vllm:")


@dataclass(frozen=True, slots=True)
class ServedReference:
    """A model that is asked and not loaded.

    Attributes:
        engine: ``openai`` for a server, ``vllm`` for that package in this process.
        url: Address of the server's interface, without a slash at its end; empty for vllm.
        name: What the server calls the model; for vllm a folder or hub id.
    """

    engine: Literal["openai", "vllm"]
    url: str
    name: str

    @property
    def text(self) -> str:
        """The reference as results write it."""
        return f"openai:{self.url}#{self.name}" if self.engine == "openai" else f"vllm:{self.name}"

    @property
    def label(self) -> str:
        """The last part of its name."""
        return self.name.rstrip("/").rpartition("/")[2]


def is_served(reference: str) -> bool:
    """Return whether a reference names a model that is asked and not loaded."""
    return reference.startswith(_PREFIXES)


def parse_served(reference: str) -> ServedReference:
    """Understand a reference; nothing is asked.

    >>> parse_served("openai:http://localhost:8000#org/small").text
    'openai:http://localhost:8000/v1#org/small'

    Raises:
        ConfigError: It names no model, no address, or holds a key.
    """
    engine, _, rest = reference.partition(":")
    if engine == "vllm":
        if not rest:
            raise ConfigError("--model vllm: has no model; give vllm:FOLDER or vllm:HUB-ID")
        return ServedReference("vllm", "", rest)
    url, _, name = rest.rpartition("#") if "#" in rest else ("", "", rest)
    if not name or "://" in name:
        raise ConfigError(f"--model openai:{clean_url(name) if name else ''}: has no model; give openai:URL#NAME")
    return ServedReference("openai", clean_url(url or os.environ.get("OPENAI_BASE_URL") or OPENAI), name)


def clean_url(url: str) -> str:
    """Return an address without a slash at its end; one without a path has ``/v1``.

    Raises:
        ConfigError: It is not an address of a server, or carries a user, a key or a query.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        shown = "the address" if "@" in url else repr(url)
        raise ConfigError(f"{shown} is not the address of a server, such as http://localhost:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query:
        raise ConfigError(
            f"the address of {host} contains a user, a key or a query, which would be written to results; remove it, "
            f"and set OPENAI_API_KEY in the environment"
        )
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") or "/v1", "", ""))


def refuse_served(reference: str) -> None:
    """Refuse a model behind a server where weights are needed.

    Raises:
        ConfigError: It is one.
    """
    if is_served(reference):
        shown = parse_served(reference).text
        raise ConfigError(
            f"model {shown!r} is served, not loaded, and its weights are needed here; it can be evaluated with "
            "`xmtf evaluate rank|generation|code|run` and prompted with `xmtf generate`"
        )
