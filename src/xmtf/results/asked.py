"""``.asked.jsonl``: what an evaluation that is under way asks, for those who watch it; gone when results are there.

The first line says how many requests there are, each further line is one of them, as far as people can read so many::

    {"requests":3360,"scoring":"bloomz"}
    {"key":"9d90eb39caaaf755364cb158","task":"xnli/fr","language":"fr","prompt":"...","choices":["yes","no"],"gold":0,...}

Answers to them come in the journals next to it (``answers-*.jsonl``), under the same keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from xmtf.files import write_jsonl

__all__ = ["ASKED", "MOST_QUESTIONS", "Asked", "Question", "read_asked", "write_asked"]

ASKED = ".asked.jsonl"
MOST_QUESTIONS = 200
"""Questions that are written down."""
_MOST_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        key: Of its answer in the journal.
        task: Task that asks.
        language: Of the row.
        prompt: What is asked; its end where it is long.
        choices: Texts to rank; none where the model writes.
        gold: Index of the right choice.
        references: Right answers where the model writes.
    """

    key: str
    task: str
    language: str
    prompt: str
    choices: tuple[str, ...] = ()
    gold: int | None = None
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked.

    Attributes:
        requests: How many different requests.
        scoring: How scores of choices are compared.
        questions: Some of them.
    """

    requests: int
    scoring: str
    questions: tuple[Question, ...]


def write_asked(out: Path, requests: int, scoring: str, questions: Iterable[Question]) -> None:
    """Write what is asked next to the journal of answers."""
    header = {"requests": requests, "scoring": scoring}
    write_jsonl(out / ASKED, [header, *(asdict(_clipped(question)) for question in questions)])


def read_asked(out: Path) -> Asked | None:
    """Return what is asked, or None where that cannot be told: nothing says so, or not in this form."""
    try:
        header, *lines = map(orjson.loads, (out / ASKED).read_bytes().splitlines())
        questions = (
            Question(**line | {name: tuple(line[name]) for name in ("choices", "references")}) for line in lines
        )
        return Asked(int(header["requests"]), str(header["scoring"]), tuple(questions))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _clipped(question: Question) -> Question:
    def clip(text: str) -> str:
        return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "…"

    prompt = question.prompt
    return Question(
        question.key,
        question.task,
        question.language,
        prompt if len(prompt) <= _MOST_CHARACTERS else "…" + prompt[-_MOST_CHARACTERS:],
        tuple(map(clip, question.choices)),
        question.gold,
        tuple(map(clip, question.references)),
    )
