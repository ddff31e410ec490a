"""``samples.jsonl``: what a model wrote after a few prompts, for people to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from xmtf.files import write_jsonl
from xmtf.lines import to_line
from xmtf.records import Provenance
from xmtf.results.record_file import read_records

__all__ = ["SAMPLES", "Sample", "read_samples", "write_samples"]

SAMPLES = "samples.jsonl"


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the file.

    Attributes:
        suite: The suite that asks.
        provenance: Of the prompt; fields of their own in the file.
        row: Index of the raw row in its split.
        prompt: What was asked.
        references: Right answers.
        text: What the model wrote, or why there is nothing, in parentheses.
    """

    suite: str
    provenance: Provenance
    row: int
    prompt: str
    references: tuple[str, ...]
    text: str


def write_samples(folder: Path, samples: Iterable[Sample]) -> None:
    """Write the samples of a results folder, atomically."""
    write_jsonl(folder / SAMPLES, map(to_line, samples))


def read_samples(folder: Path) -> list[Sample]:
    """Read the samples of a results folder; none where it has no such file.

    Raises:
        DataError: A line is no sample; names the line and the field.
    """
    path = folder / SAMPLES
    return read_records(Sample, path, "sample") if path.exists() else []
