"""From rendered examples to those that the mixture may take: filters, guard, caps, keys.

Every example that is left out is counted under one reason; an example that an evaluation suite asks is
also listed, with the suite.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.errors import ConfigError
from xmtf.mixture.select.compare_rows import Shared, are_in, compare_texts
from xmtf.mixture.select.filters import CAPPED, cap_rows, unfit_rows
from xmtf.mixture.select.guard import Guard
from xmtf.mixture.select.keys import Keys, UInt64, hash_strings, mix, row_keys
from xmtf.provenance import group_rows
from xmtf.recipe.schema import CapPolicy
from xmtf.records import Provenance

__all__ = ["OVERLAP", "SAME_ROW", "Chosen", "Rules", "choose_rows", "row_hashes"]

OVERLAP = "stands in an evaluation suite"
"""Reason of examples that the held-out guard dropped."""
SAME_ROW = "prompts a row of an evaluation suite"
"""Reason of examples whose row a suite asks about with other words."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides about rendered examples; the fields are those of the recipe's mixture section.

    ``guards_rows`` tells whether the numbers of rows are those of the split, so that rows that suites ask about are
    recognised; ``place`` names that split, see :func:`row_hashes`.
    """

    seed: int
    cap_examples: int | None
    cap_policy: CapPolicy
    deduplicate: bool
    min_input_characters: int
    max_characters: int | None
    overlap: Literal["drop", "flag", "error"]
    overlap_fields: bool = False
    overlap_words: int | None = None
    guards_rows: bool = True
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Examples that the mixture may take.

    Attributes:
        table: Their texts and columns.
        keys: Their keys.
        groups: Their groups.
        group_of_row: int32 ``[n]``.
        dropped: Examples left out, by reason.
        overlaps: One record for each example that an evaluation suite asks, dropped or only flagged.
    """

    table: Any
    keys: Keys
    groups: list[Provenance]
    group_of_row: npt.NDArray[np.int32]
    dropped: Counter[str]
    overlaps: list[dict[str, Any]]


def choose_rows(table: pa.Table, rules: Rules, guard: Guard, shared: dict[int, Shared] | None = None) -> Chosen:
    """Apply the rules to a table of prompted examples.

    Args:
        table: Prompted examples.
        rules: The rules.
        guard: What evaluation suites ask.
        shared: Numbers of the rows that hold something of a suite's rows; None compares the rendered texts.

    Raises:
        ConfigError: An example stands in an evaluation suite, and the recipe calls that an error.
    """
    dropped: Counter[str] = Counter()
    table = _with_wide_texts(table)
    masks = unfit_rows(table, min_input_characters=rules.min_input_characters, max_characters=rules.max_characters)
    for reason, mask in masks.items():
        dropped[reason] += int(mask.sum())
    table = _without(table, list(masks.values()))
    groups, group_of_row = group_rows(table)
    inputs, targets = hash_strings(table.column("inputs")), hash_strings(table.column("targets"))
    places = row_hashes(rules.place, groups, group_of_row, table.column("row"))
    asked = _find_asked(table, inputs, places, guard, rules, shared)
    overlaps = _overlaps(table, groups, group_of_row, asked, guard, rules)
    rows = np.arange(table.num_rows)
    if asked and rules.overlap == "drop":
        rows = np.delete(rows, list(asked))
        dropped.update(each.reason for each in asked.values())
        table = table.take(pa.array(rows))
    origin = _origins(groups, group_of_row[rows], table.column("row"))
    keys = row_keys(inputs[rows], targets[rows], rules.seed, None if rules.deduplicate else origin)
    sample_keys = mix(keys.low ^ origin)
    kept = cap_rows(table, group_of_row[rows], rules.cap_examples, rules.cap_policy, sample_keys)
    if len(kept) < len(rows):
        dropped[CAPPED] += len(rows) - len(kept)
        table, keys, rows = table.take(pa.array(kept)), keys.take(kept), rows[kept]
    return Chosen(table, keys, groups, group_of_row[rows], dropped, overlaps)


def _with_wide_texts(table: pa.Table) -> object:
    """Return the table with 64-bit offsets in its texts: those of one template may exceed 2 GiB."""
    for name in ("inputs", "targets"):
        column = table.column(name).cast(pa.large_string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _without(table: pa.Table, masks: list[npt.NDArray[np.bool_]]) -> object:
    return table.filter(pa.array(~np.logical_or.reduce(masks))) if masks else table


def row_hashes(
    place: str | None, groups: list[Provenance], group_of_row: npt.NDArray[np.int32], rows: object
) -> UInt64:
    """Return a hash of the place of each example's row, uint64 ``[n]``: its split and its number.

    Args:
        place: Name of the split that all rows are of; None takes dataset, subset and split of the groups.
        groups: Groups of the examples.
        group_of_row: Group of each example.
        rows: Number of each row.
    """
    names = ["\x1f".join((g.dataset, g.subset, g.split)) if place is None else place for g in groups]
    return mix(hash_strings(pa.array(names, pa.string()))[group_of_row, 0] + np.asarray(rows).astype(np.uint64))


def _origins(groups: list[Provenance], group_of_row: npt.NDArray[np.int32], rows: object) -> UInt64:
    """Return a hash of where each example comes from, uint64 ``[n]``."""
    names = pa.array(["\x1f".join((g.task, g.split, g.template)) for g in groups], pa.string())
    return mix(hash_strings(names)[group_of_row, 0] + np.asarray(rows).astype(np.uint64))


def _find_asked(
    table: pa.Table, inputs: UInt64, places: UInt64, guard: Guard, rules: Rules, shared: dict[int, Shared] | None
) -> dict[int, Shared]:
    """Return, for the number of each example that a suite asks, what was found."""
    asked: dict[int, Shared] = {}
    same = [(OVERLAP, guard.find(inputs))]
    if rules.guards_rows:
        same.append((SAME_ROW, guard.find_rows(places)))
    for reason, sources in same:
        for row in np.flatnonzero(sources >= 0).tolist():
            asked.setdefault(row, Shared(int(sources[row]), reason))
    for number, found in _find_shared(table, guard, rules, shared).items():
        asked.setdefault(number, found)
    return dict(sorted(asked.items()))


def _find_shared(table: Any, guard: Guard, rules: Rules, shared: dict[int, Shared] | None) -> dict[int, Shared]:
    if shared is not None:
        rows = table.column("row")
        return {int(at): shared[rows[int(at)].as_py()] for at in are_in(rows, shared)} if shared else {}
    if not rules.overlap_fields and rules.overlap_words is None:
        return {}
    texts = pc.binary_join_element_wise(
        table.column("inputs"), table.column("targets"), pa.scalar("\n", pa.large_string())
    ).to_pylist()
    return compare_texts(texts, guard, fields=rules.overlap_fields, words=rules.overlap_words)


def _overlaps(
    table: pa.Table,
    groups: list[Provenance],
    group_of_row: npt.NDArray[np.int32],
    asked: dict[int, Shared],
    guard: Guard,
    rules: Rules,
) -> list[dict[str, object]]:
    """Return one record for each example that a suite asks."""
    if not asked:
        return []
    numbers = table.column("row").take(pa.array(list(asked))).to_pylist()
    records = []
    for (at, found), number in zip(asked.items(), numbers, strict=True):
        group = groups[group_of_row[at]]
        origin = {"task": group.task, "split": group.split, "template": group.template, "row": number}
        asking = guard.sources[found.source] | ({} if found.row is None else {"row": found.row})
        about = {"fields": list(found.fields)} if found.fields else {}
        records.append(origin | {"reason": found.reason, "evaluation": asking, "words": found.words} | about)
    if rules.overlap == "error":
        raise ConfigError(_explain(records))
    return records


def _explain(records: list[dict[str, Any]]) -> str:
    first, asked = records[0], records[0]["evaluation"]
    return (
        f"mixture: {len(records)} examples of {first['task']} [{first['split']}] stand in an evaluation suite, the "
        f"first in row {first['row']} (template {first['template']!r}, suite {asked['suite']!r}, task "
        f"{asked['task']}); leave the task out, or set mixture.held_out.overlap to drop or flag"
    )
