"""Files of prompts, answered in batches: JSON lines in, the same lines with their answers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xmtf.errors import DataError
from xmtf.evaluation.asking.journal import Journal, answer_missing, plan_name
from xmtf.evaluation.asking.waiting import waiting_answers
from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.evaluation.generation.decoding import Decoding, check_samples
from xmtf.evaluation.prompting.prompter import Prompts
from xmtf.files import content_hash
from xmtf.sources.files.json_values import json_values
from xmtf.sources.files.kinds import kind_of
from xmtf.sources.tables import read_blocks

__all__ = ["Answered", "answer_fields", "answer_file"]


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
    prompter: Prompts,
    decoding: Decoding,
    file: Path,
    out: Path | None = None,
    *,
    samples: int = 1,
    replace: bool = False,
) -> list[Answered]:
    """Answer every prompt of a file, equal prompts once.

    Args:
        prompter: The model.
        decoding: How answers are made.
        file: Rows with ``prompt`` or ``inputs`` (JSON lines, CSV, Parquet, ...); of JSON lines also plain strings.
        out: File for the answers, written when all are there; until then they wait in a folder next to it, from which
            the same call continues.
        samples: Answers to each prompt.
        replace: Whether a file that is there is overwritten.

    Raises:
        DataError: A line holds no prompt; named by its number.
        SourceError: The file cannot be read, or a line is not JSON or no UTF-8.
        ConfigError: Samples would all be the same, or ``out`` already exists.
    """
    lines = [_line(value, file, number) for number, value in _values(file)]
    check_samples(decoding, samples)
    with waiting_answers(out, [prompter.fingerprint, asdict(decoding), "samples"], replace=replace) as waiting:
        answers = _answers(prompter, decoding, [prompt for prompt, _ in lines], samples, waiting.journal)
        found = [Answered(prompt, fields | answer_fields(answers[prompt])) for prompt, fields in lines]
        waiting.write(row.line for row in found)
    return found


def _values(file: Path) -> Iterator[tuple[int, Any]]:
    kind = kind_of(file)
    if kind is None or kind.rows in (".jsonl", ".ndjson", ".json"):
        for number, value, _ in json_values(file, array=kind is not None and kind.rows == ".json"):
            yield number, value
    else:
        rows = (row for block in read_blocks(file) for row in block.to_pylist())
        yield from enumerate(rows, start=1)


def _answers(
    prompter: Prompts, decoding: Decoding, prompts: Sequence[str], samples: int, journal: Journal
) -> dict[str, list[str]]:
    """Return the answers to each prompt; those that the journal has none of are asked, one sample after the other."""
    found: dict[str, list[str]] = {prompt: [] for prompt in prompts}
    for sample in range(samples):
        asked = {_key(prompt, sample): prompt for prompt in found}

        def ask(chosen: Sequence[str], known: Known, sample: int = sample) -> Iterator[list[tuple[int, Answer]]]:
            for batch in prompter.batches(chosen, decoding, sample, known):
                yield [(index, Answer(text=text)) for index, text in batch]

        label = "answering" if samples == 1 else f"answering, sample {sample + 1} of {samples}"
        plan = plan_name(list(asked), prompter.batch_tokens)
        answer_missing(journal, asked, plan, ask, label=label, unit="answers")
        for key, prompt in asked.items():
            found[prompt].append(journal.answer(key).text or "")
    return found


def _line(value: Any, file: Path, number: int) -> tuple[str, dict[str, Any]]:
    fields = {"prompt": value} if isinstance(value, str) else value
    prompt = fields.get("prompt", fields.get("inputs")) if isinstance(fields, dict) else None
    if not isinstance(prompt, str) or not prompt.strip():
        raise DataError(f"{file}: line {number} has no text under `prompt` or `inputs`")
    return prompt, fields


def _key(prompt: str, sample: int) -> str:
    return content_hash([prompt, sample])[:24]


def answer_fields(texts: list[str]) -> dict[str, object]:
    """Return ``output``, or ``outputs`` of several samples."""
    return {"output": texts[0]} if len(texts) == 1 else {"outputs": texts}
