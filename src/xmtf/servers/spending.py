"""What a server was asked and what that costs: counted as it is answered, and limited."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from xmtf.errors import ConfigError, ServerError
from xmtf.json_types import JsonObject

__all__ = ["Limits", "Price", "Spending", "Usage", "parse_price"]


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent.

    Attributes:
        requests: Requests that were answered.
        read: Tokens of their prompts, as the server counts them; 0 where it does not.
        written: Tokens of the answers.
    """

    requests: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Add what else was spent."""
        return Usage(self.requests + other.requests, self.read + other.read, self.written + other.written)

    @property
    def line(self) -> str:
        """Return it as a line for people."""
        return f"{self.requests:,} requests, {self.read:,} tokens read, {self.written:,} written"


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, read and written, in any currency."""

    read: float
    written: float

    def of(self, usage: Usage) -> float:
        """Return what was spent in that currency."""
        return (usage.read * self.read + usage.written * self.written) / 1e6


@dataclass(frozen=True, slots=True)
class Limits:
    """Where asking ends.

    Attributes:
        requests: Most requests that are sent, those sent again counted too; None for no limit.
        cost: Most that they may cost; needs a price.
        price: Of the model's tokens.

    Raises:
        ConfigError: A cost without a price.
    """

    requests: int | None = None
    cost: float | None = None
    price: Price | None = None

    def __post_init__(self) -> None:
        if self.cost is not None and self.price is None:
            raise ConfigError("--max-cost: needs the price of tokens; give --price INPUT,OUTPUT too")


def parse_price(text: str | None) -> Price | None:
    """Read a price: what a million tokens read and a million tokens written cost.

    >>> parse_price("0.15,0.60")
    Price(read=0.15, written=0.6)

    Raises:
        ConfigError: It is no two numbers.
    """
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        read = written = -1.0
    if not (0 <= read < float("inf") and 0 <= written < float("inf")):
        raise ConfigError(f"--price {text!r}: give the price of a million input and output tokens, such as 0.15,0.60")
    return Price(read, written)


class Spending:
    """What was sent and spent so far, by all threads; refuses what is above the limits.

    Args:
        limits: Where asking ends.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.sent = 0
        self.total = Usage()
        self._taken = Usage()
        self._lock = threading.Lock()

    def resume(self, before: Usage) -> None:
        """Count what earlier commands have spent on the same work: limits hold for all of it."""
        with self._lock:
            self.sent += before.requests
            self.total += before
            self._taken += before

    def begin(self) -> None:
        """Note that a request is about to be sent.

        Raises:
            ServerError: The limit of requests or of cost is reached.
        """
        limits = self.limits
        with self._lock:
            if limits.requests is not None and self.sent >= limits.requests:
                raise ServerError(f"--max-requests {limits.requests} is reached; {_KEPT}")
            if limits.cost is not None and (cost := self.cost) is not None and cost >= limits.cost:
                raise ServerError(f"--max-cost {limits.cost:g} is reached ({cost:.4g} spent); {_KEPT}")
            self.sent += 1

    def add(self, reply: JsonObject) -> None:
        """Count what the server says that an answer took."""
        told = reply.get("usage")
        usage = told if isinstance(told, dict) else {}
        read, written = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
        with self._lock:
            self.total += Usage(1, read if isinstance(read, int) else 0, written if isinstance(written, int) else 0)

    def take(self) -> Usage:
        """Return what was spent since this was last called."""
        with self._lock:
            before, self._taken = self._taken, self.total
            now = self._taken
        return Usage(now.requests - before.requests, now.read - before.read, now.written - before.written)

    @property
    def cost(self) -> float | None:
        """What was spent, or None where no price is known."""
        return None if self.limits.price is None else self.limits.price.of(self.total)


_KEPT = "the answers so far are kept: raise the limit and run the command again to query only the others"
