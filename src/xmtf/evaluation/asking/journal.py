"""The journal of answers: one a request, written down as soon as it is there.

It makes evaluation resumable request by request: a killed run repeats at most the batch it
was in. It is named by a hash of everything that decides an answer (weights, tokenizer, rules), so no
model ever sees the answers of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from xmtf.evaluation.engine.answer import Answer
from xmtf.files import content_hash
from xmtf.records import Request

__all__ = ["Journal", "request_key"]


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
        lines = b"".join(
            orjson.dumps({"key": key} | asdict(answer), option=orjson.OPT_APPEND_NEWLINE) for key, answer in found
        )
        with self.path.open("ab") as stream:
            stream.write(lines)


def _read(path: Path, *, mend: bool = False) -> dict[str, Answer]:
    """Read whole lines; what a killed run left of its last line is left out, and cut off to ``mend`` the file."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if mend and len(whole) < len(content):
        path.write_bytes(whole)
    answers = {}
    for line in whole.splitlines():
        value = orjson.loads(line)
        sums = ("scores", "num_tokens", "unconditional", "joint")
        key = value.pop("key")
        if value.get("text") is not None and "ending" not in value:
            continue  # of a version that did not write down why an answer ended: asked again
        answers[key] = Answer(**value | {name: tuple(value.get(name, ())) for name in sums})
    return answers
