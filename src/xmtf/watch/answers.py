"""A results folder while its evaluation is under way: how many requests are answered, and the last answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from xmtf.errors import ConfigError
from xmtf.evaluation.metrics.accuracy import RankItem, chosen
from xmtf.json_types import JsonObject
from xmtf.results.asked import ASKED, Question, read_asked
from xmtf.results.files import JOURNALS
from xmtf.results.samples import SAMPLES
from xmtf.watch.growing import GrowingFile
from xmtf.watch.pace import Pace
from xmtf.watch.unchanged import Unchanged

__all__ = ["Answers", "ShownAnswer"]

_SHOWN = 30
"""Answers that the page shows."""
_MOST_CHARACTERS = 2_000
_NAME = len("answers-") + 16


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer for people to read; what is not known is left empty.

    Attributes:
        label: Of the results, such as ``after``.
        task: Task that asks.
        language: Of the row.
        prompt: What was asked.
        right: Right answers.
        text: What the model chose or wrote.
        is_right: Whether it chose the right one; None of texts that it wrote.
        error: Why there is no answer.
    """

    label: str
    task: str = ""
    language: str = ""
    prompt: str = ""
    right: tuple[str, ...] = ()
    text: str = ""
    is_right: bool | None = None
    error: str = ""


@dataclass(slots=True)
class Answers:
    """The journals of a results folder as they grow.

    Answers of several processes, and those that one took over from the others, are counted once. Journals of other
    weights stay until results are written; those that were written to last count.

    Attributes:
        folder: The results folder.
        done: Requests that are answered.
        total: Requests in all, where the evaluation says so.
        behind: Bytes that were not read yet.
        damaged: Lines that are not JSON.
        updated: When a journal was last written to, in nanoseconds since 1970; 0 where there is none.
        pace: How fast they come.
    """

    folder: Path
    done: int = 0
    total: int | None = None
    behind: int = 0
    damaged: int = 0
    updated: int = 0
    _name: str = ""
    _files: dict[Path, GrowingFile] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    _scoring: str = ""
    _questions: dict[str, Question] = field(default_factory=dict)
    _last: deque[ShownAnswer] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    pace: Pace = field(default_factory=Pace)
    _asked: Unchanged = field(default_factory=Unchanged)

    def refresh(self, most: int) -> bool:
        """Read on, about ``most`` bytes of each journal; return whether there are more answers.

        Raises:
            OSError: A journal cannot be read.
        """
        journals = {path: path.stat().st_mtime_ns for path in self.folder.glob(JOURNALS)}
        newest = max(journals, key=lambda path: (journals[path], path.name), default=None)
        name = newest.name[:_NAME] if newest else ""
        if name != self._name:
            self._begin(name)
        self.updated = max(journals.values(), default=0)
        if self._asked.has_changed(self.folder / ASKED) and (asked := read_asked(self.folder)) is not None:
            self.total, self._scoring = asked.requests, asked.scoring
            self._questions = {question.key: question for question in asked.questions}
        self.behind = 0
        for path in sorted(path for path in journals if path.name.startswith(name)):
            new = self._files.setdefault(path, GrowingFile(path)).read(most)
            if new.anew:
                self._begin(name)
                return True
            self.behind += new.behind
            for line in new.lines:
                self._take(line)
        before, self.done = self.done, len(self._keys)
        if not self.behind:
            self.pace.see(self.done)
        return self.done != before

    def _begin(self, name: str) -> None:
        fresh = Answers(self.folder)
        for attribute in Answers.__slots__:
            setattr(self, attribute, getattr(fresh, attribute))
        self._name = name

    def _take(self, line: bytes) -> None:
        try:
            answer = orjson.loads(line)
            key = answer["key"]
        except (ValueError, TypeError, KeyError):
            self.damaged += 1
            return
        if not isinstance(key, str) or key in self._keys:
            return
        self._keys.add(key)
        question = self._questions.get(key)
        if question is not None or (not self._questions and isinstance(answer.get("text"), str)):
            self._last.append(_shown(self.folder.name, self._scoring, question, answer))

    @property
    def paths(self) -> list[Path]:
        """The journals."""
        return list(self._files)

    def shown(self) -> list[ShownAnswer]:
        """Return the last answers, the newest first; where what was asked is not known any more, the samples."""
        last = list(reversed(self._last))
        return last if any(answer.prompt for answer in last) else _samples(self.folder) or last


def _shown(label: str, scoring: str, question: Question | None, answer: Mapping[str, object]) -> ShownAnswer:
    text, error = _clipped(answer.get("text")), _clipped(answer.get("error"))
    if question is None:
        return ShownAnswer(label, text=text, error=error)
    right, is_right = question.references, None
    if question.choices:
        picked = _picked(scoring, question, answer)
        right = () if question.gold is None else question.choices[question.gold : question.gold + 1]
        if picked is not None:
            text, is_right = question.choices[picked], picked == question.gold
    return ShownAnswer(label, question.task, question.language, question.prompt, right, text, is_right, error)


def _picked(scoring: str, question: Question, answer: Mapping[str, object]) -> int | None:
    """Return the choice that counts as the answer; None where a score is missing or not finite."""
    sums = [_sums(answer.get(name)) for name in ("scores", "num_tokens", "unconditional", "joint")]
    scores, num_tokens, unconditional, joint = sums
    if len(scores) != len(question.choices):
        return None
    lengths = tuple(int(length) for length in num_tokens)
    item = RankItem(question.choices, scores, lengths, question.gold or 0, unconditional, joint)
    try:
        return chosen(item, scoring)[0]
    except (ConfigError, ValueError):
        return None


def _sums(value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(isinstance(each, int | float) for each in value):
        return ()
    return tuple(value)


def _clipped(text: object) -> str:
    if not isinstance(text, str):
        return ""
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"


def _samples(folder: Path) -> list[ShownAnswer]:
    """Return what ``samples.jsonl`` holds; lines that are no samples are skipped."""
    try:
        lines = (folder / SAMPLES).read_bytes().splitlines()[:_SHOWN]
    except OSError:
        return []
    found: list[JsonObject] = []
    for line in lines:
        try:
            value = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return [
        ShownAnswer(
            folder.name,
            str(each.get("task", "")),
            str(each.get("language", "")),
            _clipped(each.get("prompt")),
            tuple(_clipped(text) for text in each.get("references") or () if isinstance(text, str)),
            _clipped(each.get("text")),
        )
        for each in found
    ]
