"""What a mixture is made of: examples and characters by language, cluster, dataset and template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmtf.artefacts.checksums import check_file
from xmtf.files import read_jsonl
from xmtf.json_types import JsonObject
from xmtf.records import Provenance
from xmtf.text.lines import from_line

__all__ = [
    "COMPOSITION",
    "OVERLAPS",
    "QUARANTINE",
    "SLICES",
    "GroupCount",
    "merge_composition",
    "read_composition",
    "read_slices",
    "totals",
]

COMPOSITION = "composition.jsonl"
"""File of a mixture's folder with one :class:`GroupCount` a line."""
SLICES = "slices.jsonl"
"""File with what became of every (task, split): examples in, out, and dropped by reason."""
OVERLAPS = "overlap.jsonl"
"""File with the training examples that an evaluation suite asks, one a line."""
QUARANTINE = "quarantine.jsonl"
"""File with the rows on which a template failed, one a line, with the reason."""


@dataclass(frozen=True, slots=True)
class GroupCount:
    """Examples of one (language, task, split, template).

    Attributes:
        provenance: The columns that the examples share; their own fields on disk.
        examples: How many there are.
        input_characters: Characters of their inputs.
        target_characters: Characters of their targets.
    """

    provenance: Provenance
    examples: int
    input_characters: int
    target_characters: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        counts = {name: value for name, value in asdict(self).items() if name != "provenance"}
        return asdict(self.provenance) | counts


def merge_composition(parts: Iterable[list[list[Any]]]) -> list[GroupCount]:
    """Add up what the parts of a mixture report (:func:`xmtf.mixture.sort.parts.composition_of`), sorted by group."""
    sums: dict[Provenance, list[int]] = {}
    for part in parts:
        for row in part:
            counts = sums.setdefault(Provenance(*row[:-3]), [0, 0, 0])
            for position, count in enumerate(row[-3:]):
                counts[position] += count
    return [GroupCount(group, *sums[group]) for group in sorted(sums)]


def read_composition(folder: Path) -> list[GroupCount]:
    """Read the composition of a mixture.

    Raises:
        DataError: The folder holds none, or a line is no count; names the line and the field.
    """
    check_file(folder, COMPOSITION)
    path = folder / COMPOSITION
    return [
        from_line(GroupCount, line, f"{path}, line {number}", "count of examples")
        for number, line in enumerate(read_jsonl(path), 1)
    ]


def read_slices(folder: Path) -> Iterator[JsonObject]:
    """Yield what a mixture says of each split of its tasks, one record per line.

    Raises:
        DataError: The folder has no such file, or it is not what was written.
    """
    check_file(folder, SLICES)
    yield from read_jsonl(folder / SLICES)


def totals(counts: Iterable[GroupCount], by: Sequence[str]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Return (examples, input characters, target characters) for each value of the columns ``by``, largest first."""
    sums: dict[tuple[str, ...], list[int]] = {}
    for count in counts:
        key = tuple(str(getattr(count.provenance, column)) for column in by)
        entry = sums.setdefault(key, [0, 0, 0])
        entry[0] += count.examples
        entry[1] += count.input_characters
        entry[2] += count.target_characters
    ordered = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))
    return {key: (entry[0], entry[1], entry[2]) for key, entry in ordered}
