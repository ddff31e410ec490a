"""The journal of answers: one a request, written down as soon as it is there.

It makes evaluation resumable request by request: a killed run repeats at most the batch it
was in. It is named by a hash of everything that decides an answer (weights, tokenizer, rules), so no
model ever sees the answers of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import xxhash

from xmtf.evaluation.engine.answer import Answer
from xmtf.files import content_hash
from xmtf.progress import say
from xmtf.records import Request

__all__ = ["Journal", "damaged_lines", "request_key"]

_CHECK = b"check"


def request_key(request: Request) -> str:
    """Return a hash of what is asked: the prompt and the choices, whatever task asks it."""
    return content_hash([request.prompt, list(request.choices)])[:24]


class Journal:
    """Answers on disk, one line each, appended while the model works.

    Args:
        folder: Where the journal is kept.
        settings: Everything that decides an answer; another value is another journal.
        share: Names the part of one of several processes that answer at the same time. The journal without a share
            takes over the answers of all parts.
    """

    def __init__(self, folder: Path, settings: object, share: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"answers-{content_hash(settings)[:16]}"
        self.path = folder / (f"{name}.jsonl" if share is None else f"{name}.{share}.jsonl")
        self._answers = _read(self.path, mend=True)
        for path in sorted(folder.glob(f"{name}*.jsonl")):
            found = {key: answer for key, answer in _read(path).items() if key not in self._answers}
            if share is None:
                self.add(list(found.items()))
            else:
                self._answers.update(found)

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        """Return the answer to a request, or None where it is still to be asked."""
        return self._answers.get(key)

    def add(self, found: Sequence[tuple[str, Answer]]) -> None:
        """Write down answers by the key of their request."""
        self._answers.update(found)
        lines = b"".join(_line({"key": key} | asdict(answer)) for key, answer in found)
        with self.path.open("ab") as stream:
            stream.write(lines)


def damaged_lines(path: Path) -> int:
    """Return how many whole lines of a journal are not as they were written."""
    content = path.read_bytes()
    return sum(_value(line) is None for line in content[: content.rfind(b"\n") + 1].split(b"\n")[:-1])


def _line(value: dict[str, object]) -> bytes:
    """Return a value as a line that ends with a hash of what stands before."""
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


def _read(path: Path, *, mend: bool = False) -> dict[str, Answer]:
    """Read whole lines; what a killed run left of its last line is left out, and cut off to ``mend`` the file."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if mend and len(whole) < len(content):
        path.write_bytes(whole)
    answers = {}
    damaged = 0
    for line in whole.split(b"\n")[:-1]:
        value = _value(line)
        if value is None:
            damaged += 1
            continue
        sums = ("scores", "num_tokens", "unconditional", "joint")
        key = value.pop("key")
        if value.get("text") is not None and "ending" not in value:
            continue  # of a version that did not write down why an answer ended: asked again
        try:
            answers[key] = Answer(**value | {name: tuple(value.get(name, ())) for name in sums})
        except TypeError:
            damaged += 1
    if damaged:
        say(f"{path}: {damaged} lines are not as they were written; what they answer is asked again")
    return answers
