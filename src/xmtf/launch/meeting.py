"""How the machines of a training meet, and how often processes that died are started again: options of torchrun."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xmtf.errors import ConfigError

__all__ = ["ALONE", "Meeting"]

_ENDPOINT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")
_ID = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class Meeting:
    """Machines that train together.

    Attributes:
        nodes: How many.
        endpoint: ``host:port`` of one of them, where all meet; needed for several.
        run: Name of the meeting: attempts of other runs that meet at the same place are told from it.
        max_restarts: How often all processes are started again when one of them has died.
    """

    nodes: int = 1
    endpoint: str | None = None
    run: str = "xmtf"
    max_restarts: int = 0

    def __post_init__(self) -> None:
        """Refuse a meeting that would not take place."""
        if self.nodes > 1 and self.endpoint is None:
            raise ConfigError("--endpoint is missing: host:port of one of the machines, the same on all of them")
        if self.endpoint is not None and not _ENDPOINT.fullmatch(self.endpoint):
            raise ConfigError(f"--endpoint {self.endpoint}: is not host:port")
        if not _ID.fullmatch(self.run):
            raise ConfigError(f"--run {self.run!r}: is not a name of letters, digits, dots and dashes")

    def options(self, processes: int) -> list[str]:
        """Return the options of torchrun for so many processes of a machine."""
        meeting = ["--standalone"]
        if self.endpoint is not None:
            meeting = ["--nnodes", str(self.nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", self.endpoint]
            meeting += ["--rdzv-id", self.run]
        restarts = ["--max-restarts", str(self.max_restarts)] if self.max_restarts else []
        return [*meeting, "--nproc-per-node", str(processes), *restarts]


ALONE = Meeting()
"""One machine."""
