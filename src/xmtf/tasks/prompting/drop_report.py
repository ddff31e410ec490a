"""What is reported of rendered tasks: the first row of every kind of drop, and what looks like a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from xmtf.artefacts.manifest_parts import DropNote, FirstDropped, LintFinding, MixtureDetails
from xmtf.json_types import JsonObject
from xmtf.tasks.prompting.fitness import remedy
from xmtf.tasks.prompting.prompted import Prompted

__all__ = ["DropReport", "explain_drop"]

_MOST_NOTES = 20
"""Notes that are printed one by one."""


@dataclass(slots=True)
class DropReport:
    """Gathers over templates, tasks and shards; what a worker reports of its shard is JSON.

    Attributes:
        firsts: Reason -> the first row dropped for it.
        notes: What looks like a mistake.
        findings: What lint found.
        relatives: Held-out language -> the members of its macrolanguage that the mixture holds.
    """

    firsts: dict[str, FirstDropped] = field(default_factory=dict)
    notes: list[DropNote] = field(default_factory=list)
    findings: list[LintFinding] = field(default_factory=list)
    relatives: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, details: MixtureDetails) -> DropReport:
        """Return what the manifest of a mixture reports."""
        return cls(dict(details.firsts), list(details.notes), list(details.findings), details.relatives)

    def add(self, part: Prompted, task: str, split: str, template: str) -> None:
        """Take over what is reported of one template of a slice."""
        for reason, first in part.firsts.items():
            self.firsts.setdefault(reason, FirstDropped(task, split, template, first.row, first.detail))
        self.notes += [DropNote(task, split, template, note) for note in part.notes]
        self.findings += [
            LintFinding(task, split, template, each.check, each.severity, each.message) for each in part.findings
        ]

    def merge(self, report: Mapping[str, Any]) -> None:
        """Take over what a shard reported; of a reason, the first that was merged stays."""
        for reason, first in report.get("firsts", {}).items():
            self.firsts.setdefault(reason, FirstDropped(**first))
        self.notes += [DropNote(**note) for note in report.get("notes", [])]
        self.findings += [LintFinding(**each) for each in report.get("findings", [])]

    def to_json(self) -> JsonObject:
        """Return it as a shard reports it."""
        firsts = {reason: asdict(first) for reason, first in self.firsts.items()}
        notes, findings = ([asdict(each) for each in listed] for listed in (self.notes, self.findings))
        return {"firsts": firsts, "notes": notes, "findings": findings}

    def lines(self, dropped: Mapping[str, int]) -> Iterator[str]:
        """Yield lines that say why rows were dropped, and what to look at.

        Args:
            dropped: Rows dropped, by reason.
        """
        for reason, count in sorted(dropped.items(), key=lambda item: -item[1]):
            if reason in self.firsts and (remedy(reason) or self.firsts[reason].detail):
                yield f"dropped {count:,}: {explain_drop(reason, self.firsts[reason])}"
        for code, others in self.relatives.items():
            yield (
                f"held out {code}: its relatives {', '.join(others)} are in the mixture; mixture.held_out.relatives: "
                f"true excludes them"
            )
        yield from _note_lines(self.notes)
        yield from _lint_lines(self.findings)

    def errors(self) -> list[str]:
        """Return what lint calls errors, a line each."""
        return [line for line in _finding_lines(self.findings) if line.startswith("lint error")]


def explain_drop(reason: str, first: FirstDropped) -> str:
    """Describe in one line which row was the first to be dropped for a reason, and what to do."""
    detail = f" ({first.detail})" if first.detail else ""
    advice = f"; {remedy(reason)}" if remedy(reason) else ""
    return f"{reason}, first {first.task} [{first.split}] row {first.row}, template {first.template!r}{detail}{advice}"


def _note_lines(notes: Iterable[DropNote]) -> Iterator[str]:
    grouped: dict[tuple[str, str], list[DropNote]] = {}
    for note in notes:
        grouped.setdefault((note.task.partition("/")[0], note.note), []).append(note)
    for (_, text), same in list(grouped.items())[:_MOST_NOTES]:
        first = same[0]
        more = f" (and {len(same) - 1} more templates and splits)" if len(same) > 1 else ""
        yield f"check {first.task} [{first.split}], template {first.template!r}{more}: {text}"
    if len(grouped) > _MOST_NOTES:
        yield f"... and {len(grouped) - _MOST_NOTES} more; the manifest of the mixture lists them under `notes`"


def _lint_lines(findings: Iterable[LintFinding]) -> Iterator[str]:
    """Yield errors and warnings with their counts, errors first."""
    lines = _finding_lines(findings)
    if not lines:
        return
    numbers = [sum(line.startswith(f"lint {severity}") for line in lines) for severity in ("error", "warning")]
    yield from lines[:_MOST_NOTES]
    if len(lines) > _MOST_NOTES:
        yield f"... and {len(lines) - _MOST_NOTES} more; the manifest of the mixture lists them under `findings`"
    yield f"lint: {numbers[0]} errors, {numbers[1]} warnings; `xmtf template lint TASK` prints details"


def _finding_lines(findings: Iterable[LintFinding]) -> list[str]:
    grouped: dict[tuple[str, str, str, str], list[LintFinding]] = {}
    for each in findings:
        grouped.setdefault((each.severity, each.check, each.task.partition("/")[0], each.template), []).append(each)
    lines = []
    for (severity, check, _, template), same in sorted(grouped.items(), key=lambda item: item[0]):
        more = f" (and {len(same) - 1} more tasks and splits)" if len(same) > 1 else ""
        lines.append(f"lint {severity} {check}: {same[0].task}, template {template!r}{more}: {same[0].message}")
    return lines
