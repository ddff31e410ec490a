"""What is reported of rendered tasks: the first row of every kind of drop, and what looks like a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xmtf.json_types import JsonObject
from xmtf.tasks.fitness import remedy
from xmtf.tasks.prompted import Prompted

__all__ = ["DropReport", "explain_drop"]

_MOST_NOTES = 20
"""Notes that are printed one by one."""


@dataclass(slots=True)
class DropReport:
    """Gathers over templates, tasks and shards; plain JSON values, so that workers can report them.

    Attributes:
        firsts: Reason -> ``task``, ``split``, ``template``, ``row`` and ``detail`` of the first row dropped for it.
        notes: ``task``, ``split``, ``template`` and ``note``.
    """

    firsts: dict[str, JsonObject] = field(default_factory=dict)
    notes: list[JsonObject] = field(default_factory=list)

    def add(self, part: Prompted, task: str, split: str, template: str) -> None:
        """Take over what is reported of one template of a slice."""
        where = {"task": task, "split": split, "template": template}
        for reason, first in part.firsts.items():
            self.firsts.setdefault(reason, where | {"row": first.row, "detail": first.detail})
        self.notes += [where | {"note": note} for note in part.notes]

    def merge(self, report: Mapping[str, Any]) -> None:
        """Take over what a shard reported; of a reason, the first that was merged stays."""
        self.firsts = {**report.get("firsts", {}), **self.firsts}
        self.notes += report.get("notes", [])

    def to_json(self) -> JsonObject:
        """Return it as a shard reports it."""
        return {"firsts": self.firsts, "notes": self.notes}

    def lines(self, dropped: Mapping[str, int]) -> Iterator[str]:
        """Yield lines that say why rows were dropped, and what to look at.

        Args:
            dropped: Rows dropped, by reason.
        """
        for reason, count in sorted(dropped.items(), key=lambda item: -item[1]):
            if reason in self.firsts and (remedy(reason) or self.firsts[reason]["detail"]):
                yield f"dropped {count:,}: {explain_drop(reason, self.firsts[reason])}"
        yield from _note_lines(self.notes)


def explain_drop(reason: str, first: Mapping[str, object]) -> str:
    """Say in one line which row was the first to be dropped for a reason, and what to do."""
    detail = f" ({first['detail']})" if first["detail"] else ""
    advice = f"; {remedy(reason)}" if remedy(reason) else ""
    return (
        f"{reason}, first {first['task']} [{first['split']}] row {first['row']}, template {first['template']!r}"
        f"{detail}{advice}"
    )


def _note_lines(notes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for note in notes:
        grouped.setdefault((note["task"].partition("/")[0], note["note"]), []).append(note)
    for (_, text), same in list(grouped.items())[:_MOST_NOTES]:
        first = same[0]
        more = f" (and {len(same) - 1} more templates and splits)" if len(same) > 1 else ""
        yield f"look at {first['task']} [{first['split']}], template {first['template']!r}{more}: {text}"
    if len(grouped) > _MOST_NOTES:
        yield f"... and {len(grouped) - _MOST_NOTES} more; the manifest of the mixture lists them under `notes`"
