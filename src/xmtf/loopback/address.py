"""Where a server listens, and what its visitors may call it."""

from __future__ import annotations

import errno
import ipaddress
import platform
import secrets
import socket
from dataclasses import dataclass, field

from xmtf.errors import ConfigError

__all__ = ["LOOPBACK", "Address", "listen"]

LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        host: What it is bound to.
        port: The port.
        token: Secret that is in the address that is printed.
        session: Secret that the cookie holds.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))

    @property
    def cookie(self) -> str:
        """Name of the cookie; cookies do not know ports, and two servers may run side by side."""
        return f"xmtf-{self.port}"

    @property
    def url(self) -> str:
        """Address for a person to open, with the token."""
        shown = LOOPBACK if self.is_everywhere else _in_url(self.host)
        return f"http://{shown}:{self.port}/?token={self.token}"

    @property
    def is_loopback(self) -> bool:
        """Whether only programs of this machine can reach it."""
        return _is_loopback(self.host)

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens on all addresses of this machine."""
        return self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound

    def names(self, reached_at: str | None = None) -> frozenset[str]:
        """Return what the ``Host`` of a request may be, with the port.

        A name that only an attacker's name server leads here (DNS rebinding) is none of them.

        Args:
            reached_at: Address of this machine that the request came in at; counts where all addresses are listened on.
        """
        hosts = {_in_url(self.host)}
        if self.is_loopback or self.is_everywhere:
            hosts |= set(_LOOPBACK_NAMES)
        if self.is_everywhere:
            hosts = (hosts - {_in_url(self.host)}) | {platform.node().lower()}
            hosts |= {_in_url(reached_at)} if reached_at else set()
        return frozenset(f"{host}:{self.port}" for host in hosts) | (
            frozenset(hosts) if self.port == 80 else frozenset()
        )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> tuple[socket.socket, Address]:
    """Return an open socket and its address.

    Args:
        host: What to bind to.
        port: The port; 0 takes a free one.

    Raises:
        ConfigError: The port is in use, may not be had, or the machine has no such address; one line.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(128)
    except OSError as error:
        opened.close()
        raise ConfigError(_refusal(host, port, error)) from None
    except OverflowError:
        opened.close()
        raise ConfigError(f"--port {port}: a port is a number from 0 to 65535") from None
    opened.set_inheritable(False)
    return opened, Address(host, int(opened.getsockname()[1]))


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"--port {port}: {host}:{port} is already in use; give another port, or 0 for a free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"--port {port}: permission denied; give a port above 1023, or 0 for a free one"
    return f"--host {host}: cannot listen on it ({error.strerror or error})"
