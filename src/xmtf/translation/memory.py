"""The translation memory: what engines have answered, one for all templates, so that nothing is asked twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xmtf.errors import DataError
from xmtf.files import read_jsonl, write_jsonl
from xmtf.templates.languages.segments import Part

__all__ = ["Memory", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """What an answer depends on.

    Attributes:
        engine: Name of the engine.
        version: Its version.
        prompt: Hash of what it was told, or ``""``.
        source: Language of the text.
        target: Language of the answer.
        role: Role of the text where the engine is told it, or ``""``.
        parts: Text and marks.
    """

    engine: str
    version: str
    prompt: str
    source: str
    target: str
    role: str
    parts: tuple[Part, ...]


class Memory:
    """Answers that passed every gate, by what was asked; a file of JSON lines."""

    def __init__(self, path: Path | None) -> None:
        """Read the memory of a file; None: of this process alone.

        Raises:
            DataError: A line is not of a memory.
        """
        self._path = path
        self._known: dict[Source, tuple[Part, ...]] = {}
        self._changed = False
        if path is None or not path.exists():
            return
        for number, record in enumerate(read_jsonl(path), start=1):
            try:
                answer = tuple(record.pop("answer"))
                source = Source(**{**record, "parts": tuple(record["parts"])})
            except (TypeError, KeyError, AttributeError) as error:
                raise DataError(
                    f"{path}: line {number} is not an entry of a translation memory ({error}); delete it"
                ) from None
            self._known[source] = answer

    def get(self, source: Source) -> tuple[Part, ...] | None:
        """Return what was answered, or None."""
        return self._known.get(source)

    def put(self, source: Source, answer: Sequence[Part]) -> None:
        """Remember an answer."""
        self._known[source] = tuple(answer)
        self._changed = True

    def save(self) -> None:
        """Rewrite the file, where anything was added, with what others added meanwhile."""
        if self._path is None or not self._changed:
            return
        self._known = Memory(self._path)._known | self._known
        rows = [
            {**{name: getattr(source, name) for name in Source.__dataclass_fields__}, "answer": answer}
            for source, answer in self._known.items()
        ]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(self._path, rows)
        self._changed = False
