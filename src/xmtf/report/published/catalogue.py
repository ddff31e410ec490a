"""Which tables there are, and which can be made from what is available."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xmtf.records import Score
from xmtf.report.inputs import Inputs
from xmtf.report.published.all_results import all_results, code_results
from xmtf.report.published.analyses import (
    code_statistics_table,
    edit_distance_table,
    family_table,
    pretrained_table,
    temperature_table,
    validation_table,
)
from xmtf.report.published.prompts import prompt_medians, prompts_table
from xmtf.report.result_table import ResultTable, own_results, published_results
from xmtf.report.tables import Table

__all__ = ["gather", "published_tables"]


def gather(scores: Mapping[str, Sequence[Score]], *, reference: bool) -> ResultTable:
    """Put a user's results alongside the published ones.

    Args:
        scores: Name of a model -> its scores; may be empty.
        reference: Whether the published results are in the table.
    """
    return ResultTable([*(published_results() if reference else []), *own_results(scores)])


def published_tables(results: ResultTable, inputs: Inputs) -> list[Table]:
    """Return every table that has a line: results, prompts by language, code, distances, validation, models."""
    reference = inputs.reference
    tables = [
        all_results(results),
        prompts_table(results, seen=True, reference=reference),
        prompts_table(results, seen=False, reference=reference),
        prompt_medians(results, seen=True),
        prompt_medians(results, seen=False),
        code_results(results),
        code_statistics_table(inputs),
        edit_distance_table(inputs),
        validation_table(inputs),
        *((temperature_table(), family_table(), pretrained_table()) if reference else ()),
    ]
    return [table for table in tables if table.rows]
