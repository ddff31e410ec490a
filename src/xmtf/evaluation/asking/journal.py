"""The journal of answers: one a request, written down as soon as it is there.

It makes evaluation resumable batch by batch: a killed run repeats the batch it was in. It is named by a
hash of everything that decides an answer (weights, tokenizer, rules), so no model ever sees the answers of another.

The last digits of a score depend on what was computed next to it. So each answer says of which plan it is: the requests
of one evaluation and the size of batches, which decide what is computed together. The same plan takes an answer up as
part of its batch; another plan (more rows, other shares) takes it as it is, and forms batches of the rest::

    {"key":"6e..","scores":[-1.5,-2.5],..,"plan":"8a..","left":1,"check":".."}     one more line of this batch
    {"key":"11..","scores":[-1.0,-0.5],..,"plan":"8a..","left":0,"check":".."}     the batch is whole
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import xxhash

from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.evaluation.engine.processes import Processes
from xmtf.execution import track
from xmtf.files import content_hash
from xmtf.progress import warn
from xmtf.records import Request

__all__ = ["Journal", "answer_missing", "count_lines", "open_journal", "plan_name", "request_key"]

Item = TypeVar("Item")
Ask = Callable[[Sequence[Item], Known], Iterable[Sequence[tuple[int, Answer]]]]
"""Asks items and yields, after each batch, the (index of an item, its answer) that it made; batches of which all
answers are known are left out."""

_CHECK = b"check"
_SHARE = re.compile(r"\.\d+-of-")


def request_key(request: Request) -> str:
    """Return a hash of what is asked: the prompt and the choices, whatever task asks it."""
    return content_hash([request.prompt, list(request.choices)])[:24]


class Journal:
    """Answers on disk, one line each, appended while the model works.

    Args:
        folder: Where the journal is kept; None keeps it in memory alone.
        settings: Everything that decides an answer; another value is another journal.
        share: Names the part of one of several processes that answer at the same time. The journal without a share
            takes over the answers of all parts.
        writes: Whether answers are written down; a process that only computes along with another one reads what that
            has written, once it has made its own.
    """

    def __init__(self, folder: Path | None, settings: object, share: str | None = None, *, writes: bool = True) -> None:
        name = f"answers-{content_hash(settings)[:16]}"
        self._is_kept = folder is not None and writes
        self.path = (folder or Path()) / (f"{name}.jsonl" if share is None else f"{name}.{share}.jsonl")
        self._answers: dict[str, _Noted] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if writes:
            _cut(self.path)
        self._answers = _read(self.path)
        for path in sorted(folder.glob(f"{name}*.jsonl")):
            found = {key: noted for key, noted in _read(path).items() if key not in self._answers}
            self._answers.update(found)
            if share is None:
                self._write(found)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """Return the answer to a request, or None where it is still to be asked."""
        noted = self._answers.get(key)
        return None if noted is None else noted.answer

    def answer(self, key: str) -> Answer:
        """Return the answer to a request that was asked.

        Raises:
            KeyError: It was not.
        """
        return self._answers[key].answer

    def usage(self) -> tuple[int, ...]:
        """Return the sums of what answers of a served model took; nothing where none says."""
        told = [noted.answer.usage for noted in self._answers.values() if noted.answer.usage]
        return tuple(map(sum, zip(*told, strict=True)))

    def of_plan(self, key: str, plan: str) -> Answer | None:
        """Return the answer to a request that was made in a batch of this plan, or None."""
        noted = self._answers.get(key)
        return noted.answer if noted is not None and noted.plan == plan else None

    def is_settled(self, key: str, plan: str) -> bool:
        """Return whether another plan has answered a request; other shares of the same plan do not count.

        What they have answered by now depends on how fast they are, and batches must not.
        """
        noted = self._answers.get(key)
        return noted is not None and noted.plan != plan and not _beside(noted.plan, plan)

    def add(self, found: Sequence[tuple[str, Answer]], plan: str = "") -> None:
        """Write down the answers of a batch of a plan, by the key of their request."""
        last = len(found) - 1
        noted = {key: _Noted(answer, plan, last - place) for place, (key, answer) in enumerate(found)}
        self._answers.update(noted)
        self._write(noted)

    def _write(self, found: dict[str, _Noted]) -> None:
        if not self._is_kept:
            return
        lines = b"".join(
            _line({"key": key} | asdict(noted.answer) | {"plan": noted.plan, "left": noted.left})
            for key, noted in found.items()
        )
        with self.path.open("ab") as stream:
            stream.write(lines)


def open_journal(folder: Path, identity: object, processes: Processes) -> Journal:
    """Return the journal of this process's copy of the model; all that compute together see the same answers in it."""
    if processes.size > 1:
        if processes.leads:
            Journal(folder, identity, processes.name)  # cuts off what a kill left, before anyone reads
        processes.wait()
    journal = Journal(folder, identity, processes.name, writes=processes.leads)
    processes.wait()
    return journal


class _Noted(NamedTuple):
    answer: Answer
    plan: str
    left: int


def plan_name(keys: Sequence[str], batch_tokens: int, share: str | None = None) -> str:
    """Return what names a plan: all requests of an evaluation, the size of batches, and which share of them is asked.

    >>> plan_name(["6e", "11"], 64, "0-of-2")
    'ce738bf96fadc07d.0-of-2'
    """
    whole = content_hash([list(keys), batch_tokens])[:16]
    return whole if share is None else f"{whole}.{share}"


def _beside(one: str, other: str) -> bool:
    """Return whether two plans are different shares, out of as many, of one evaluation."""
    return "-of-" in one and "-of-" in other and _SHARE.sub("", one) == _SHARE.sub("", other)


def answer_missing(
    journal: Journal, items: Mapping[str, Item], plan: str, ask: Ask[Item], *, label: str, unit: str
) -> None:
    """Ask what a journal has no answer to, and write the answers down batch by batch.

    Batches are formed of all items that no other plan has answered, before one looks at what is answered already; a
    batch is answered as a whole or asked as a whole. So the answers of a command that was killed and resumed are those
    of one that was not, to the last bit.

    Args:
        journal: The journal.
        items: What is asked, by its key.
        plan: Of which the batches are (:func:`plan_name`).
        ask: Asks items.
        label: What progress is called.
        unit: What an item is called there.
    """
    mine = {key: item for key, item in items.items() if not journal.is_settled(key, plan)}
    keys, known = list(mine), [journal.of_plan(key, plan) for key in mine]
    missing = known.count(None)
    if not missing:
        return
    with track(label, total=missing, unit=unit) as progress:
        for batch in ask(list(mine.values()), known.__getitem__):
            journal.add([(keys[index], answer) for index, answer in batch], plan)
            progress.advance(len(batch))


class Lines(NamedTuple):
    """What a journal holds: whole lines, those of them that were changed or cut short, bytes behind the last."""

    whole: int
    damaged: int
    torn: int


def count_lines(path: Path) -> Lines:
    """Return what a journal holds; nothing where there is none."""
    content = path.read_bytes() if path.exists() else b""
    *lines, torn = content.split(b"\n")
    return Lines(len(lines), sum(_value(line) is None for line in lines), len(torn))


def _line(value: dict[str, object]) -> bytes:
    """Return a value as a line that ends with a hash of what is before."""
    text = orjson.dumps(value)
    return text[:-1] + b',"%s":"%s"}\n' % (_CHECK, xxhash.xxh3_64_hexdigest(text).encode())


def _value(line: bytes) -> dict[str, Any] | None:
    """Return the value of a line, or None where it is not what was written; those of earlier versions have no hash."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("key"), str):
        return None
    written = value.pop(_CHECK.decode(), None)
    return value if written in (None, xxhash.xxh3_64_hexdigest(orjson.dumps(value))) else None


def _cut(path: Path) -> None:
    """Cut off what a killed run left of its last batch: it is asked whole again."""
    if not path.exists():
        return
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    while end and (_value(content[content.rfind(b"\n", 0, end - 1) + 1 : end - 1]) or {}).get("left", 0):
        end = content.rfind(b"\n", 0, end - 1) + 1
    if end < len(content):
        os.truncate(path, end)


def _read(path: Path) -> dict[str, _Noted]:
    """Read whole lines; what a killed run left of its last line is left out."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    answers = {}
    damaged = 0
    for line in whole.split(b"\n")[:-1]:
        value = _value(line)
        if value is None:
            damaged += 1
            continue
        sums = ("scores", "num_tokens", "unconditional", "joint", "usage")
        key, plan, left = value.pop("key"), value.pop("plan", ""), value.pop("left", 0)
        if value.get("text") is not None and "ending" not in value:
            continue  # of a version that did not write down why an answer ended: asked again
        try:
            answers[key] = _Noted(Answer(**value | {name: tuple(value.get(name, ())) for name in sums}), plan, left)
        except TypeError:
            damaged += 1
    if damaged:
        warn(f"{path}: {damaged} lines were changed or cut short; what they answered will be queried again")
    return answers
