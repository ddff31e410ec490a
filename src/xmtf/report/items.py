"""Single items for the page: what was asked, what each model answered, and whether that was right.

Results may hold millions of items, so a page shows a stated number of each dataset. Rows are drawn by
a hash of their place in the data: the same rows whatever the models are, and every template of a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import xxhash

from xmtf.files import slug
from xmtf.records import Provenance, Score
from xmtf.report.comparison.results import Results
from xmtf.results.completions import Completion, read_completions
from xmtf.results.items import ItemsFile, JobInfo, item_files

__all__ = ["ItemSet", "item_sets", "script_text"]

Place = tuple[str, str]
"""Task and split."""
Row = tuple[str, str, int | str]
"""Task, split and row (or name of a problem)."""
_SHOWN = (
    "prompt", "choices", "gold", "references", "truncated",
    "scores", "num_tokens", "choice", "text", "correct", "error",
)  # fmt: skip
"""Columns of items that the page shows, alongside the row."""
_OF_JOB = ("task", "cluster", "split", "template", "language", "prompt_language", "translation")
"""Of the provenance, what the page shows of a job."""
_MOST_CHARACTERS = 8_000
"""Longer prompts are shown without their middle."""


@dataclass(frozen=True, slots=True)
class ItemSet:
    """The items of one dataset.

    Attributes:
        dataset: Its name.
        total: Items in the results, each counted once however many models answered it.
        shown: Items in ``payload``.
        suites: Suites that ask about it.
        payload: ``{labels, jobs: [...], items: [...]}`` as the page's script reads it.
    """

    dataset: str
    total: int
    shown: int
    suites: tuple[str, ...]
    payload: dict[str, object]

    @property
    def file_name(self) -> str:
        """Name of the file that the items are kept in, where they are not in the page itself."""
        return f"{slug(self.dataset)}.js"


@dataclass(frozen=True, slots=True)
class _Job:
    """A job, whichever model was asked."""

    suite: str
    kind: str
    provenance: Provenance
    template_hash: str

    @staticmethod
    def of(told: JobInfo | Score) -> _Job:
        return _Job(told.suite, told.kind, told.provenance, told.template_hash)

    @property
    def place(self) -> Place:
        return self.provenance.task, self.provenance.split

    def to_json(self) -> dict[str, str]:
        asked = {name: getattr(self.provenance, name) for name in _OF_JOB}
        return {"suite": self.suite, **asked, "kind": self.kind}


@dataclass(frozen=True, slots=True)
class _Answers:
    """Answers of one model to one job: where they lie, and the row (or problem) of each.

    Attributes:
        label: The model.
        job: What was asked.
        rows: int64 ``[n]``, or names ``[n]``.
        file: Items file, or None for code.
        index: Place of the job in the file.
        programs: What was written, for code.
    """

    label: str
    job: _Job
    rows: npt.NDArray[np.generic]
    file: ItemsFile | None = None
    index: int = 0
    programs: Sequence[Completion] = field(default=(), repr=False)


def item_sets(results: Results, most: int) -> list[ItemSet]:
    """Read the items of every dataset, at most about ``most`` of each: whole rows, with all their templates.

    Raises:
        DataError: A file of items is broken.
    """
    found: dict[str, list[_Answers]] = defaultdict(list)
    for label, folders in results.folders.items():
        for folder in folders:
            for answers in _answers_in(folder, label):
                found[answers.job.provenance.dataset].append(answers)
        for folder in folders:
            for answers in _programs_in(folder, label, results.scores[label]):
                found[answers.job.provenance.dataset].append(answers)
    labels = list(results.folders)
    return [_item_set(dataset, members, labels, most) for dataset, members in sorted(found.items())]


def script_text(name: str, payload: object) -> str:
    """Return a call of the page's script that hands over data, safe inside a script element and as a file."""
    text = orjson.dumps([name, payload]).decode()[1:-1]
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"xmtfItems({text});\n"


def _answers_in(folder: Path, label: str) -> Iterator[_Answers]:
    for file in item_files(folder):
        for index, (about, table) in enumerate(file.each_job(("row",))):
            yield _Answers(label, _Job.of(about.job), table["row"].to_numpy(), file, index)


def _programs_in(folder: Path, label: str, scores: Sequence[Score]) -> Iterator[_Answers]:
    of_code = [score for score in scores if score.kind == "code"]
    if not of_code:
        return
    written: dict[tuple[str, float], list[Completion]] = defaultdict(list)
    for completion in read_completions(folder):
        written[completion.task, completion.temperature].append(completion)
    for score in of_code:
        temperature = float(score.provenance.template.rpartition(" ")[2])
        drawn = written[score.provenance.task, temperature]
        names = np.array([f"{each.problem}, sample {each.sample + 1}" for each in drawn], dtype=np.str_)
        yield _Answers(label, _Job.of(score), names, programs=drawn)


def _item_set(dataset: str, members: Sequence[_Answers], labels: list[str], most: int) -> ItemSet:
    kept, total = _draw_rows(members, most)
    jobs: dict[_Job, int] = {}
    items: dict[tuple[int, Row, str], dict[str, Any]] = {}
    for answers in members:
        jobs.setdefault(answers.job, len(jobs))
    for answers, row, item in _read(members, kept):
        job = jobs[answers.job]
        key = (job, row, item["prompt"])
        entry = items.setdefault(key, _question(job, row, item) | {"answers": [None] * len(labels)})
        entry["answers"][labels.index(answers.label)] = _answer(item)
    ordered = [items[key] for key in sorted(items, key=lambda key: (_rank(key[1]), key[0]))]
    suites = tuple(dict.fromkeys(job.suite for job in jobs))
    payload = {"labels": labels, "jobs": [job.to_json() for job in jobs], "items": ordered}
    return ItemSet(dataset, total, len(ordered), suites, payload)


def _draw_rows(members: Iterable[_Answers], most: int) -> tuple[dict[Place, list[int | str]], int]:
    """Draw rows until they bring ``most`` items; return those of each task and split, and the number of all items.

    A row brings an item for each job that asks it, however many models answer.
    """
    rows_of: dict[Place, dict[_Job, list[npt.NDArray[np.generic]]]] = defaultdict(lambda: defaultdict(list))
    for answers in members:
        rows_of[answers.job.place][answers.job].append(answers.rows)
    counts: dict[Row, int] = {}
    for place, jobs in rows_of.items():
        asked = np.concatenate([np.unique(np.concatenate(rows)) for rows in jobs.values()])
        rows, numbers = np.unique(asked, return_counts=True)
        counts |= {(*place, row): number for row, number in zip(rows.tolist(), numbers.tolist(), strict=True)}
    kept: dict[Place, list[int | str]] = defaultdict(list)
    drawn = 0
    for task, split, row in sorted(counts, key=_rank):
        if drawn >= most:
            break
        kept[task, split].append(row)
        drawn += counts[task, split, row]
    return kept, sum(counts.values())


def _rank(row: Row) -> tuple[int, Row]:
    return xxhash.xxh3_64_intdigest(repr(row).encode()), row


def _read(
    members: Sequence[_Answers], kept: Mapping[Place, list[int | str]]
) -> Iterator[tuple[_Answers, Row, dict[str, Any]]]:
    """Yield the items in the rows that are kept; of each file, only the jobs that have such rows are read."""
    by_file: dict[Path, list[tuple[_Answers, npt.NDArray[np.bool_]]]] = defaultdict(list)
    for answers in members:
        mask = np.isin(answers.rows, kept.get(answers.job.place, []))
        if answers.file is not None and mask.any():
            by_file[answers.file.path].append((answers, mask))
        for place in np.flatnonzero(mask).tolist() if answers.file is None else ():
            yield answers, (*answers.job.place, str(answers.rows[place])), _program(answers.programs[place])
    for found in by_file.values():
        file = found[0][0].file
        assert file is not None
        table = file.read(("row", *_SHOWN), [answers.index for answers, _ in found])
        items = table.filter(pa.array(np.concatenate([mask for _, mask in found]))).to_pylist()
        owners = [answers for answers, mask in found for _ in range(int(mask.sum()))]
        for answers, item in zip(owners, items, strict=True):
            yield answers, (*answers.job.place, item["row"]), item


def _program(each: Completion) -> dict[str, Any]:
    note = None if each.passed else f"{each.outcome}: {each.detail}".removesuffix(": ")
    return {"prompt": each.problem, "text": each.completion, "correct": each.passed, "note": note}


def _question(job: int, row: Row, item: dict[str, Any]) -> dict[str, Any]:
    """Return what was asked; keys are left out where there is nothing to say."""
    asked = {
        "prompt": _shortened(item["prompt"]),
        "choices": item.get("choices"),
        "gold": item.get("gold"),
        "references": item.get("references"),
        "truncated": item.get("truncated") or None,
    }
    return {"job": job, "row": row[2]} | {name: value for name, value in asked.items() if value is not None}


def _answer(item: dict[str, Any]) -> dict[str, Any]:
    scores = item.get("scores")
    told = {
        "scores": [round(score, 4) for score in scores] if scores else None,
        "tokens": item.get("num_tokens"),
        "choice": item.get("choice"),
        "text": item.get("text"),
        "correct": item.get("correct"),
        "note": item.get("error") or item.get("note"),
    }
    return {name: value for name, value in told.items() if value is not None}


def _shortened(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters not shown ...]\n{text[-half:]}"
