"""What was measured as records for programs: a suite and metric each, with the value of every model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from xmtf.json_types import JsonObject
from xmtf.report.collect import collect
from xmtf.report.comparison.compare import Comparison, compared, verdict
from xmtf.results.estimates import Estimate

__all__ = ["result_records"]


def result_records(sources: Sequence[Path]) -> list[JsonObject]:
    """Return the table of results of runs and results folders, a record for each suite and metric.

    Raises:
        SourceError: A source is neither a run folder nor a results folder.
    """
    return [_record(each) for each in compared(collect(sources).results)]


def _record(each: Comparison) -> JsonObject:
    return {
        "suite": each.suite,
        "held_out": each.axis,
        "metric": each.metric,
        "items": each.num_items,
        "chance": each.chance,
        "majority": each.majority,
        "values": {label: _estimate(value) for label, value in each.values.items()},
        "change": _estimate(each.change),
        "reading": verdict(each),
    }


def _estimate(value: Estimate | None) -> JsonObject | None:
    """Return a value and the ends of its interval, null where they are not known."""
    if value is None:
        return None
    return {name: None if math.isnan(number) else number for name, number in value._asdict().items()}
