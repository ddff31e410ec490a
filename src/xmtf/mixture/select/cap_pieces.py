"""A cap over examples that come some at a time: of each group no more than the cap's are held, and a piece more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xmtf.mixture.select.choose import Chosen, Rules, cap_together

__all__ = ["CapInPieces"]


@dataclass(slots=True)
class CapInPieces:
    """What a cap keeps of the pieces so far.

    Attributes:
        rules: The rules; their cap is set.
    """

    rules: Rules
    _held: dict[str, list[Chosen]] = field(default_factory=dict)

    def add(self, template: str, chosen: Chosen) -> int:
        """Take over what the rules left of one template's examples of a piece; return how many the cap drops by it."""
        held = self._held.setdefault(template, [])
        held.append(chosen.gathered())
        if sum(len(part.keys) for part in held) <= 2 * (self.rules.cap_examples or 0):
            return 0
        together = cap_together(held, self.rules)
        self._held[template] = [together]
        return together.dropped.total()

    def finish(self) -> Iterator[Chosen]:
        """Yield what the cap keeps of each template in the end, with what it drops by it."""
        for held in self._held.values():
            yield cap_together(held, self.rules)
