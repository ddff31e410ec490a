"""``samples.jsonl``: what a model wrote after a few prompts, for people to read."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.records import Provenance
from xmtf.results.record_file import RecordFile

__all__ = ["SAMPLES", "Sample", "read_samples", "write_samples"]

SAMPLES = "samples.jsonl"


@dataclass(frozen=True, slots=True)
class Sample:
    """A line of the file.

    Attributes:
        suite: The suite that asks.
        provenance: Of the prompt; their own fields in the file.
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


_FILE = RecordFile(SAMPLES, Sample, "sample")
read_samples, write_samples = _FILE.read, _FILE.write
