"""Results of BigScience's fork of lm-evaluation-harness: ``agg.*.json``, ``slim.*.json``, ``examples.*.jsonl``.

``agg`` and ``slim`` hold the same numbers, one entry for each (prompt, metric); ``examples`` holds what the
model said, one line an item.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xmtf.errors import DataError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.interchange.imported import Imported, metric_of
from xmtf.files import read_json, read_jsonl
from xmtf.json_types import JsonObject
from xmtf.records import Metric, Origin, Request

__all__ = ["is_bigscience", "model_of", "read_bigscience"]

_ABOUT = frozenset(
    {
        "task_name",
        "prompt_name",
        "prompt_id",
        "prompt_jinja",
        "prompt_original_task",
        "comment",
        "fixed_answer_choice_list",
        "dataset_path",
        "dataset_name",
        "subset",
    }
)


def is_bigscience(told: object) -> bool:
    """Whether a parsed JSON file is an ``agg`` or ``slim`` file."""
    return (
        isinstance(told, dict)
        and isinstance(told.get("results"), list)
        and all(isinstance(entry, dict) and "prompt_name" in entry for entry in told["results"])
    )


def model_of(told: Mapping[str, Any]) -> str:
    """Return the name of the model that a file is about."""
    config = told.get("config") or {}
    arguments = str(config.get("model_args") or "")
    named = dict(part.partition("=")[::2] for part in arguments.split(",") if "=" in part)
    return (named.get("pretrained") or str(config.get("model") or "model")).rstrip("/").rpartition("/")[2]


def read_bigscience(path: Path) -> Iterator[Imported]:
    """Read an ``agg`` or ``slim`` file and the ``examples`` of the same name next to it.

    Raises:
        DataError: An entry lacks what every entry has.
    """
    told = read_json(path)
    examples = _examples(path)
    jobs: dict[tuple[str, str], list[JsonObject]] = defaultdict(list)
    for entry in told["results"]:
        if "task_name" not in entry:
            raise DataError(f"{path}: the entry of prompt {entry.get('prompt_name')!r} has no task_name")
        jobs[entry["task_name"], entry["prompt_name"]].append(entry)
    for (task, prompt), entries in jobs.items():
        first = entries[0]
        rows = examples.get(prompt, [])
        items = tuple(_item(row, first) for row in rows)
        metrics = tuple(metric for entry in entries for metric in _metrics(entry, len(items)))
        yield Imported(
            harness="bigscience-lm-eval",
            dataset=str(first.get("dataset_path") or task),
            config=str(first.get("dataset_name") or ""),
            split=str(first.get("subset") or ""),
            template=prompt,
            metrics=metrics,
            items=items,
            kind="rank" if any(metric.name == "accuracy" for metric in metrics) else "generation",
            prompt=first.get("prompt_jinja") or first.get("prompt_id"),
        )


def _metrics(entry: Mapping[str, object], items: int) -> Iterator[Metric]:
    for name, value in entry.items():
        if name in _ABOUT or name.endswith("_stderr") or not isinstance(value, int | float) or isinstance(value, bool):
            continue
        error = entry.get(f"{name}_stderr")
        yield metric_of(name, float(value), items=items, error=float(error) if isinstance(error, int | float) else None)


def _examples(path: Path) -> dict[str, list[JsonObject]]:
    """Return the items of each prompt, in the order of their documents."""
    kind, _, rest = path.name.partition(".")
    prefix = ""
    if kind.startswith("limited=") or kind not in ("agg", "slim"):
        prefix, (kind, _, rest) = f"{kind}.", rest.partition(".")
    beside = path.with_name(f"{prefix}examples.{rest.removesuffix('.json')}.jsonl")
    found: dict[str, list[JsonObject]] = defaultdict(list)
    if beside.exists():
        for row in read_jsonl(beside):
            found[str(row.get("prompt_name") or "")].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: int(row["doc_id"]))
    return found


def _item(row: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[Request, Answer]:
    """Read one example: its answer is known, the scores of its choices were not kept."""
    try:
        origin = Origin(str(entry.get("dataset_path")), str(entry.get("dataset_name") or ""), "", int(row["doc_id"]))
        targets = row["target"] if isinstance(row["target"], list) else [row["target"]]
        choices: Sequence[str] = row.get("answer_choices_list") or ()
        request = Request(str(row["ctx"]), (), None, tuple(map(str, targets)), origin)
        said = choices[row["pred"]] if choices and isinstance(row["pred"], int) else row["pred"]
    except (KeyError, IndexError, TypeError, ValueError):
        raise DataError(f"an example of prompt {entry.get('prompt_name')!r} has an unknown layout") from None
    return request, Answer(text=str(said).strip())
