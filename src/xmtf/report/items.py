"""Single items for the page: what was asked, what each model answered, and whether that was right.

Results may hold millions of items, so a page shows a stated number of each dataset. Rows are drawn by
a hash of their place in the data: the same rows whatever the models are, and every template of a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from xmtf.errors import DataError
from xmtf.files import read_jsonl, slug
from xmtf.report.results import Results

__all__ = ["ItemSet", "item_sets", "script_text"]

Row = tuple[str, str, int | str]
"""Task, split and row (or name of a problem)."""
_JOB = ("suite", "task", "cluster", "split", "template", "language", "prompt_language", "translation", "kind")
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
    payload: dict[str, Any]

    @property
    def file_name(self) -> str:
        """Name of the file that the items are kept in, where they do not stand in the page itself."""
        return f"{slug(self.dataset)}.js"


@dataclass(frozen=True, slots=True)
class _File:
    """Items of one job by one model: a file of items, or the lines of one task's completions."""

    label: str
    path: Path
    job: dict[str, Any]

    @property
    def is_code(self) -> bool:
        return self.path.suffix == ".jsonl"


def item_sets(results: Results, most: int) -> list[ItemSet]:
    """Read the items of every dataset, at most about ``most`` of each: whole rows, with all their templates.

    Raises:
        DataError: A file of items is broken.
    """
    files: dict[str, list[_File]] = defaultdict(list)
    for label, folders in results.folders.items():
        for folder in folders:
            for path in sorted((folder / "items").glob("*.parquet")):
                files[(job := _job(path))["dataset"]].append(_File(label, path, job))
        for folder in folders:
            for job in _code_jobs(folder, results.scores[label]):
                files[job["dataset"]].append(_File(label, folder / "completions.jsonl", job))
    labels = list(results.folders)
    return [_item_set(dataset, members, labels, most) for dataset, members in sorted(files.items())]


def script_text(name: str, payload: Any) -> str:
    """Return a call of the page's script that hands over data, safe inside a script element and as a file."""
    text = orjson.dumps([name, payload]).decode()[1:-1]
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"xmtfItems({text});\n"


def _job(path: Path) -> dict[str, Any]:
    """Return what a file of items says about its job."""
    try:
        about = orjson.loads(pq.read_schema(path).metadata[b"xmtf"])["job"]
        return {name: about[name] for name in (*_JOB, "dataset", "template_hash")}
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, orjson.JSONDecodeError):
        raise DataError(f"{path}: not a file of items of an evaluation") from None


def _code_jobs(folder: Path, scores: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if (folder / "completions.jsonl").exists():
        for score in scores:
            if score.get("kind") == "code":
                yield {name: score[name] for name in (*_JOB, "dataset", "template_hash")}


def _item_set(dataset: str, files: Sequence[_File], labels: list[str], most: int) -> ItemSet:
    kept, total = _draw_rows(files, most)
    jobs: dict[tuple[str, ...], int] = {}
    items: dict[tuple[int, Row, str], dict[str, Any]] = {}
    for file in files:
        job = jobs.setdefault(tuple(str(file.job[name]) for name in (*_JOB, "template_hash")), len(jobs))
        for row, item in _read(file, kept):
            key = (job, row, item["prompt"])
            entry = items.setdefault(key, _question(job, row, item) | {"answers": [None] * len(labels)})
            entry["answers"][labels.index(file.label)] = _answer(item)
    described = [dict(zip(_JOB, job, strict=False)) for job in jobs]
    ordered = [items[key] for key in sorted(items, key=lambda key: (_rank(key[1]), key[0]))]
    suites = tuple(dict.fromkeys(job["suite"] for job in described))
    payload = {"labels": labels, "jobs": described, "items": ordered}
    return ItemSet(dataset, total, len(ordered), suites, payload)


def _draw_rows(files: Iterable[_File], most: int) -> tuple[set[Row], int]:
    """Draw rows until they bring ``most`` items; return them and the number of all items."""
    asked: dict[Row, set[tuple[str, str, str]]] = defaultdict(set)
    for file in files:
        job = (file.job["suite"], file.job["template"], file.job["template_hash"])
        for row in _rows(file):
            asked[row].add(job)
    kept: set[Row] = set()
    count = 0
    for row in sorted(asked, key=_rank):
        if count >= most:
            break
        kept.add(row)
        count += len(asked[row])
    return kept, sum(map(len, asked.values()))


def _rank(row: Row) -> tuple[int, Row]:
    return xxhash.xxh3_64_intdigest(repr(row).encode()), row


def _rows(file: _File) -> Iterator[Row]:
    place = (file.job["task"], file.job["split"])
    if file.is_code:
        yield from ((*place, _sample_name(line)) for line in _completions(file))
    else:
        yield from ((*place, row) for row in pq.read_table(file.path, columns=["row"])["row"].to_pylist())


def _read(file: _File, kept: set[Row]) -> Iterator[tuple[Row, dict[str, Any]]]:
    place = (file.job["task"], file.job["split"])
    if file.is_code:
        for line in _completions(file):
            name = _sample_name(line)
            if (*place, name) in kept:
                error = None if line["passed"] else f"{line['outcome']}: {line['detail']}".removesuffix(": ")
                yield (
                    (*place, name),
                    {"prompt": line["problem"], "text": line["completion"], "correct": line["passed"], "note": error},
                )
        return
    table = pq.read_table(file.path)
    wanted = pa.array([row for task, split, row in kept if (task, split) == place], pa.int64())
    for item in table.filter(pc.is_in(table["row"], wanted)).to_pylist():
        yield (*place, item["row"]), item


def _completions(file: _File) -> Iterator[dict[str, Any]]:
    temperature = float(file.job["template"].rpartition(" ")[2])
    for line in read_jsonl(file.path):
        if line["task"] == file.job["task"] and line["temperature"] == temperature:
            yield line


def _sample_name(line: dict[str, Any]) -> str:
    return f"{line['problem']}, sample {line['sample'] + 1}"


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
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters are not shown ...]\n{text[-half:]}"
