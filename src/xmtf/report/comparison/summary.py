"""What a reader needs first: one line a suite, as numbers, as a strip to look at, and in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from xmtf.records import in_percent
from xmtf.report.comparison.compare import Comparison, verdict
from xmtf.results.estimates import Estimate

__all__ = ["Mark", "Strip", "headline", "strips"]


@dataclass(frozen=True, slots=True)
class Mark:
    """One model's value on a strip, in percent of its width.

    Attributes:
        label: The model.
        value: Where it lies, 0-100.
        low: Lower end of the interval.
        high: Upper end.
    """

    label: str
    value: float
    low: float
    high: float

    @property
    def text(self) -> str:
        """The value and its interval in figures."""
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Strip:
    """A suite under one metric.

    Attributes:
        suite: Name of the suite.
        note: Metric, number of items and what is held out.
        chance: Where guessing lies, 0-100, or None.
        marks: One a model that was measured.
        change: Paired difference in figures, or ``""``.
        verdict: What that shows, in words.
        trend: ``up``, ``down`` or ``flat``.
    """

    suite: str
    note: str
    chance: float | None
    marks: tuple[Mark, ...]
    change: str
    verdict: str
    trend: str


def strips(comparisons: Sequence[Comparison]) -> list[Strip]:
    """Return one strip a suite and metric whose values lie in 0-100."""
    return [_strip(result) for result in comparisons if any(result.values.values())]


def headline(comparisons: Sequence[Comparison]) -> list[str]:
    """Describe in a sentence or two what all suites together show.

    Only suites with an interval from single items count; a change counts when its interval excludes zero.
    """
    labels = list(comparisons[0].values) if comparisons else []
    sentences = []
    changes = [result.change for result in comparisons if result.change is not None]
    if changes:
        trends = Counter(result.trend for result in comparisons if result.change is not None)
        sentences.append(
            f"From {labels[0]} to {labels[-1]}, {trends['up'] or 'none'} of {len(changes)} measurements rise, "
            f"{trends['down'] or 'none'} fall, and {trends['flat'] or 'none'} do not measurably change."
        )
    ranked = [result for result in comparisons if result.chance is not None]
    counts = [(label, _above_chance(ranked, label)) for label in labels]
    told = [f"{above} of {known} suites ({label})" for label, (above, known) in counts if known]
    return [*sentences, f"Above chance: {', '.join(told)}."] if told else sentences


def _above_chance(ranked: Sequence[Comparison], label: str) -> tuple[int, int]:
    """Return in how many suites a model is above chance and the most frequent answer, and how many it was asked."""
    known = [result for result in ranked if result.values[label] is not None]
    return sum(result.is_above_chance(label) for result in known), len(known)


def _strip(result: Comparison) -> Strip:
    scale = 100.0 if in_percent(result.metric) else 1.0
    held_out = "" if result.axis == "none" else f", held out: {result.axis}"
    plural = "" if result.items_text == "1" else "s"
    differ = " (not the same for every model)" if result.other_items else ""
    unit = " %" if in_percent(result.metric) else ""
    marks = [_mark(label, value, scale) for label, value in result.values.items() if value is not None]
    change = result.change
    return Strip(
        suite=result.suite,
        note=f"{result.metric.replace('_', ' ')}{unit}, {result.items_text} item{plural}{differ}{held_out}",
        chance=None if result.chance is None else scale * result.chance,
        marks=tuple(marks),
        change="" if change is None else f"{scale * change.value:+.1f}",
        verdict=verdict(result) if len(result.values) < 3 else "",
        trend=result.trend,
    )


def _mark(label: str, estimate: Estimate, scale: float) -> Mark:
    value, low, high = (
        min(100.0, max(0.0, scale * (estimate.value if math.isnan(number) else number))) for number in estimate
    )
    return Mark(label, value, low, high)
