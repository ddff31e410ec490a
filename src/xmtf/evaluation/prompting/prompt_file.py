"""Files of prompts, answered in batches: JSON lines in, the same lines with their answers out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmtf.artefacts.ownership import claim
from xmtf.errors import DataError
from xmtf.evaluation.asking.journal import Journal
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.generation.decoding import Decoding
from xmtf.evaluation.prompting.prompter import Prompter
from xmtf.execution import track
from xmtf.files import alone_in, content_hash, discard_folder, write_jsonl
from xmtf.results.files import JOURNALS
from xmtf.sources.files.json_values import json_values
from xmtf.sources.files.kinds import kind_of
from xmtf.sources.tables import read_blocks

__all__ = ["Answered", "answer_file"]


@dataclass(frozen=True, slots=True)
class Answered:
    """One line of a file of prompts.

    Attributes:
        prompt: What was asked.
        line: Its fields with ``output``, or with ``outputs`` where several samples were asked for.
    """

    prompt: str
    line: dict[str, Any]


def answer_file(
    prompter: Prompter, decoding: Decoding, file: Path, out: Path | None = None, *, samples: int = 1
) -> list[Answered]:
    """Answer every prompt of a file, equal prompts once.

    Args:
        prompter: The model.
        decoding: How answers are made.
        file: Rows with ``prompt`` or ``inputs`` (JSON lines, CSV, Parquet, ...); of JSON lines also plain strings.
        out: File for the answers, written when all are there; until then they wait in a folder beside it, from
            which the same call goes on.
        samples: Answers to each prompt.

    Raises:
        DataError: A line holds no prompt; named by its number.
        SourceError: The file cannot be read, or a line is no JSON or no UTF-8.
    """
    lines = [_line(value, file, number) for number, value in _values(file)]
    if out is None:
        return _answered(prompter, decoding, lines, samples, None)
    work = out.with_name(f".{out.name}.work")
    with alone_in(work, what="work"):
        if not any(work.glob(JOURNALS)):
            claim(work, "answers", "answers that wait", hidden=True)
        journal = Journal(work, [prompter.fingerprint, asdict(decoding), samples])
        found = _answered(prompter, decoding, lines, samples, journal)
        write_jsonl(out, [row.line for row in found])
        discard_folder(work)
    return found


def _values(file: Path) -> Iterator[tuple[int, Any]]:
    kind = kind_of(file)
    if kind is None or kind.rows in (".jsonl", ".ndjson", ".json"):
        for number, value, _ in json_values(file, array=kind is not None and kind.rows == ".json"):
            yield number, value
    else:
        rows = (row for block in read_blocks(file) for row in block.to_pylist())
        yield from enumerate(rows, start=1)


def _answered(
    prompter: Prompter,
    decoding: Decoding,
    lines: Sequence[tuple[str, dict[str, Any]]],
    samples: int,
    journal: Journal | None,
) -> list[Answered]:
    """Answer what the journal has no answers to, and write them down there."""
    prompts = list(dict.fromkeys(prompt for prompt, _ in lines))
    answers = {prompt: _kept(journal, prompt) for prompt in prompts}
    missing = [prompt for prompt in prompts if len(answers[prompt]) < samples]
    answers |= {prompt: [] for prompt in missing}
    with track("answering", len(missing) * samples, "answers") as bar:
        for index, text in prompter.answers(missing, decoding, samples):
            answers[missing[index]].append(text)
            if journal is not None and len(answers[missing[index]]) == samples:
                journal.add([(_key(missing[index]), Answer(text=json.dumps(answers[missing[index]])))])
            bar.advance()
    return [Answered(prompt, fields | _output(answers[prompt])) for prompt, fields in lines]


def _line(value: Any, file: Path, number: int) -> tuple[str, dict[str, Any]]:
    fields = {"prompt": value} if isinstance(value, str) else value
    prompt = fields.get("prompt", fields.get("inputs")) if isinstance(fields, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{file}: line {number} has no text under `prompt` or `inputs`")
    return prompt, fields


def _kept(journal: Journal | None, prompt: str) -> list[str]:
    """Return the answers that an earlier call left, or none."""
    found = None if journal is None else journal.get(_key(prompt))
    return [] if found is None or found.text is None else json.loads(found.text)


def _key(prompt: str) -> str:
    return content_hash(prompt)[:24]


def _output(texts: list[str]) -> dict[str, object]:
    return {"output": texts[0]} if len(texts) == 1 else {"outputs": texts}
