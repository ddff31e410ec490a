"""``completions.jsonl``: programs that a model wrote, and what came of running them; only code evaluation has them."""

from __future__ import annotations

from dataclasses import dataclass

from xmtf.results.record_file import RecordFile

__all__ = ["COMPLETIONS", "Completion", "read_completions", "write_completions"]

COMPLETIONS = "completions.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A line of the file.

    Attributes:
        task: Task of the catalogue.
        ask: ``complete`` or ``repair``; results of earlier versions only complete.
        language: Programming language.
        problem: Name of the problem.
        sample: Which of its samples, from 0.
        temperature: It was drawn at; 0 is greedy.
        completion: The text.
        passed: Whether the program passes its tests.
        outcome: How it ended.
        detail: More about that.
        tests: Whether tests ran ``apart`` from the program or ``in one process``; empty in earlier versions.
    """

    task: str
    ask: str = "complete"
    language: str = "python"
    problem: str
    sample: int
    temperature: float
    completion: str
    passed: bool
    outcome: str
    detail: str = ""
    tests: str = ""


_FILE = RecordFile(COMPLETIONS, Completion, "completion")
read_completions, write_completions = _FILE.read, _FILE.write
