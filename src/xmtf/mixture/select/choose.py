"""From rendered examples to those that the mixture may take: filters, guard, caps, keys.

Every example that is left out is counted under one reason; an example that an evaluation suite asks is
also listed, with the suite.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xmtf.artefacts.manifest_parts import FirstDropped
from xmtf.conversations.messages import Conversation, turn_texts
from xmtf.errors import ConfigError
from xmtf.mixture.select.compare_rows import Int64, RowComparison, Shared, compare_texts
from xmtf.mixture.select.filters import CAPPED, cap_rows, unfit_rows
from xmtf.mixture.select.guard import Guard
from xmtf.mixture.select.keys import Keys, UInt64, concat_keys, hash_strings, mix, row_keys
from xmtf.mixture.select.text_filters import TextRules, unfit_texts
from xmtf.provenance import group_rows
from xmtf.recipe.schema import CapPolicy
from xmtf.records import MESSAGES, Provenance

__all__ = ["OVERLAP", "SAME_ROW", "Chosen", "Rules", "cap_together", "choose_rows", "row_hashes"]

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
    quality: dict[str, float] = field(default_factory=dict)
    identify: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """Examples that the mixture may take.

    Attributes:
        rendered: A table with their texts and columns, and those of others, too.
        keys: Their keys.
        groups: Their groups.
        group_of_row: int32 ``[n]``.
        dropped: Examples left out, by reason.
        overlaps: One record for each example that an evaluation suite asks, dropped or only flagged.
        firsts: Reason -> the first example that was left out for its texts.
        places: Their rows in ``rendered``, ``[n]``; None where they are all of it. Texts are gathered once, when the
            examples are put in order.
    """

    rendered: Any
    keys: Keys
    groups: list[Provenance]
    group_of_row: npt.NDArray[np.int32]
    dropped: Counter[str]
    overlaps: list[dict[str, Any]]
    firsts: dict[str, FirstDropped] = field(default_factory=dict)
    places: Int64 | None = None

    @property
    def table(self) -> Any:
        """Their texts and columns, and no others."""
        return self.rendered if self.places is None else self.rendered.take(pa.array(self.places))

    def gathered(self) -> Chosen:
        """Return the same examples, with nothing of others in memory."""
        return replace(self, rendered=self.table, places=None)


def choose_rows(table: pa.Table, rules: Rules, guard: Guard, compared: RowComparison | None = None) -> Chosen:
    """Apply the rules to a table of prompted examples.

    Where examples that suites ask are dropped, the rows of those that the cap would keep are compared; for each that is
    dropped another one is, until the cap is full. So the same examples stay as if all had been compared.

    Args:
        table: Prompted examples.
        rules: The rules.
        guard: What evaluation suites ask.
        compared: Their rows, as they are compared with a suite's rows; None compares the rendered texts.

    Raises:
        ConfigError: An example is in an evaluation suite, and the recipe calls that an error.
    """
    dropped: Counter[str] = Counter()
    table = _with_wide_texts(table)
    masks = unfit_rows(table, min_input_characters=rules.min_input_characters, max_characters=rules.max_characters)
    for reason, mask in masks.items():
        dropped[reason] += int(mask.sum())
    table = _without(table, list(masks.values()))
    table, firsts = _with_fit_texts(table, rules, dropped)
    groups, group_of_row = group_rows(table)
    inputs, targets = hash_strings(table.column("inputs")), hash_strings(table.column("targets"))
    places = row_hashes(rules.place, groups, group_of_row, table.column("row"))
    origin = _origins(groups, group_of_row, table.column("row"))
    keys = row_keys(inputs, targets, rules.seed, None if rules.deduplicate else origin)
    asked = _find_asked(inputs, places, guard, rules)
    if MESSAGES in table.column_names:
        asked |= _find_turns(table.column(MESSAGES), guard) | asked
    capped = _cap_groups(groups)[group_of_row]
    kept = rows = np.arange(table.num_rows)
    compare = _comparison(table, guard, rules, compared)
    if rules.overlap == "drop":
        rows = np.delete(rows, list(asked))
        sample_keys = mix(keys.low ^ origin)
        kept = _capped(table, capped, rows, rules, sample_keys)
        while found := compare(kept):
            asked |= found
            rows = np.setdiff1d(rows, list(found), assume_unique=True)
            kept = _capped(table, capped, rows, rules, sample_keys)
        dropped.update(each.reason for each in asked.values())
    else:
        asked = compare(rows) | asked
        kept = _capped(table, capped, rows, rules, mix(keys.low ^ origin))
    overlaps = _overlaps(table, groups, group_of_row, dict(sorted(asked.items())), guard, rules)
    if len(kept) < len(rows):
        dropped[CAPPED] += len(rows) - len(kept)
    if len(kept) == table.num_rows:
        return Chosen(table, keys, groups, group_of_row, dropped, overlaps, firsts)
    return Chosen(table, keys.take(kept), groups, group_of_row[kept], dropped, overlaps, firsts, kept)


def _with_fit_texts(table: pa.Table, rules: Rules, dropped: Counter[str]) -> tuple[object, dict[str, FirstDropped]]:
    """Return the examples whose texts are fit, and the first of the others by reason; count those."""
    kept, firsts = np.ones(table.num_rows, bool), dict[str, FirstDropped]()
    for reason, unfit in unfit_texts(table, TextRules(rules.quality, rules.identify)).items():
        hit = np.flatnonzero(kept & unfit.mask)
        if len(hit):
            dropped[reason] += len(hit)
            (first,) = table.slice(int(hit[0]), 1).select(["task", "split", "template", "row"]).to_pylist()
            firsts[reason] = FirstDropped(**first, detail=unfit.detail)
            kept[hit] = False
    return (table if kept.all() else table.filter(pa.array(kept))), firsts


def _cap_groups(groups: list[Provenance]) -> npt.NDArray[np.int32]:
    """Return the number of what a cap counts together for each group: one template of a split, in all its languages."""
    known: dict[tuple[str, str, str], int] = {}
    numbers = [known.setdefault((each.task, each.split, each.template), len(known)) for each in groups]
    return np.array(numbers, np.int32)


def cap_together(parts: Sequence[Chosen], rules: Rules) -> Chosen:
    """Return what the cap keeps of examples that it was applied to some at a time, as if to all at once.

    Args:
        parts: Examples of some groups, in the order of their rows.
        rules: The rules.
    """
    table = pa.concat_tables(part.table for part in parts)
    keys = concat_keys([part.keys for part in parts])
    groups, group_of_row = group_rows(table)
    origin = _origins(groups, group_of_row, table.column("row"))
    capped = _cap_groups(groups)[group_of_row]
    kept = _capped(table, capped, np.arange(table.num_rows), rules, mix(keys.low ^ origin))
    dropped = Counter({CAPPED: table.num_rows - len(kept)})
    return Chosen(table, keys.take(kept), groups, group_of_row[kept], dropped, [], places=kept).gathered()


def _capped(
    table: pa.Table, group_of_row: npt.NDArray[np.int32], rows: Int64, rules: Rules, sample_keys: UInt64
) -> Int64:
    """Return those of the rows that the cap keeps."""
    if rules.cap_examples is None:
        return rows
    chosen = table if len(rows) == table.num_rows else table.take(pa.array(rows))
    return rows[cap_rows(chosen, group_of_row[rows], rules.cap_examples, rules.cap_policy, sample_keys[rows])]


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


def _find_asked(inputs: UInt64, places: UInt64, guard: Guard, rules: Rules) -> dict[int, Shared]:
    """Return, for the number of each example whose inputs or row a suite asks, what was found."""
    asked: dict[int, Shared] = {}
    same = [(OVERLAP, guard.find(inputs))]
    if rules.guards_rows:
        same.append((SAME_ROW, guard.find_rows(places)))
    for reason, sources in same:
        for row in np.flatnonzero(sources >= 0).tolist():
            asked.setdefault(row, Shared(int(sources[row]), reason))
    return asked


def _find_turns(messages: pa.ChunkedArray, guard: Guard) -> dict[int, Shared]:
    """Return, for the number of each conversation one of whose turns is the inputs of a suite, what was found."""
    if not len(guard.high):
        return {}
    turns = [list(turn_texts(Conversation.of_json(text))) for text in messages.to_pylist()]
    row_of_turn = np.repeat(np.arange(len(turns)), [len(texts) for texts in turns])
    sources = guard.find(hash_strings(pa.array([text for texts in turns for text in texts], pa.large_string())))
    hits = np.flatnonzero(sources >= 0)
    return {int(row_of_turn[hit]): Shared(int(sources[hit]), OVERLAP) for hit in hits[::-1].tolist()}


def _comparison(
    table: Any, guard: Guard, rules: Rules, compared: RowComparison | None
) -> Callable[[Int64], dict[int, Shared]]:
    """Return what finds, of the numbers of examples, those that hold something of a suite's rows."""
    if compared is not None:
        numbers = np.asarray(table.column("row")).astype(np.int64)

        def of_rows(examples: Int64) -> dict[int, Shared]:
            found = compared.find(numbers[examples])
            hits = examples[np.isin(numbers[examples], np.fromiter(found, np.int64, len(found)))]
            return {at: found[int(numbers[at])] for at in hits.tolist()}

        return of_rows
    if not rules.overlap_fields and rules.overlap_words is None:
        return lambda examples: {}
    is_done = np.zeros(table.num_rows, bool)

    def of_texts(examples: Int64) -> dict[int, Shared]:
        todo = examples[~is_done[examples]]
        is_done[todo] = True
        part = table.select(["inputs", "targets"]).take(pa.array(todo))
        texts = pc.binary_join_element_wise(*part.columns, pa.scalar("\n", pa.large_string())).combine_chunks()
        found = compare_texts(texts, guard, fields=rules.overlap_fields, words=rules.overlap_words)
        return {int(todo[at]): shared for at, shared in found.items()}

    return of_texts


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
        f"mixture: {len(records)} examples of {first['task']} [{first['split']}] occur in an evaluation suite, the "
        f"first in row {first['row']} (template {first['template']!r}, suite {asked['suite']!r}, task "
        f"{asked['task']}); exclude the task, or set mixture.held_out.overlap to drop or flag"
    )
