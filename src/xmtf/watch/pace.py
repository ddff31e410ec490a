"""How fast something grows, as it was seen to grow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Pace"]

_OVER_S = 60.0
_LEAST_S = 2.0


@dataclass(slots=True)
class Pace:
    """Counts seen within the last minute.

    Attributes:
        clock: Returns seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def see(self, done: int) -> None:
        """Note how much is done now; where that is less than before, it began again."""
        now = self.clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _OVER_S:
            self._seen.popleft()

    @property
    def per_s(self) -> float | None:
        """Units a second; None where nothing was seen for long enough, or nothing was done."""
        if not self._seen:
            return None
        (first, before), (last, now) = self._seen[0], self._seen[-1]
        return (now - before) / (last - first) if last - first >= _LEAST_S and now > before else None

    def left_s(self, total: int | None) -> float | None:
        """Return the seconds that the rest takes at this pace, or None where that is not known."""
        speed = self.per_s
        if speed is None or total is None or not self._seen:
            return None
        return max(0.0, (total - self._seen[-1][1]) / speed)
