"""Results of EleutherAI's lm-evaluation-harness: ``results_*.json`` and, where kept, ``samples_*.jsonl``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xmtf.errors import DataError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.interchange.imported import Imported, metric_of
from xmtf.files import read_json, read_jsonl
from xmtf.json_types import JsonObject
from xmtf.records import Metric, Origin, Request

__all__ = ["is_lm_eval", "model_of", "read_lm_eval"]

_LOADERS = frozenset({"arrow", "csv", "json", "parquet", "text"})
"""What ``dataset_path`` names where a task reads files of its own: nothing that tells its dataset."""

_KINDS = {"generate_until": "generation", "loglikelihood_rolling": "loss"}


def is_lm_eval(told: object) -> bool:
    """Whether a parsed JSON file is one of the harness's results."""
    return isinstance(told, dict) and isinstance(told.get("results"), dict) and "configs" in told


def model_of(told: Mapping[str, Any]) -> tuple[str, str]:
    """Return (name, hash of the weights or ``""``) of the model that a results file is about."""
    config = told.get("config") or {}
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        arguments = dict(part.partition("=")[::2] for part in arguments.split(","))
    name = str(arguments.get("pretrained") or told.get("model_name") or "model")
    return name.rstrip("/").rpartition("/")[2], str(config.get("model_sha") or "")


def read_lm_eval(path: Path) -> Iterator[Imported]:
    """Read a results file and the samples that are next to it under the same date.

    Groups of tasks are left out; their tasks are there.

    Raises:
        DataError: The file is broken.
    """
    told = read_json(path)
    versions = {"lm_eval": str(told.get("lm_eval_version", "")), "transformers": str(told.get("transformers_version"))}
    for task, values in told["results"].items():
        config = told["configs"].get(task)
        if config is None:
            continue
        samples = _samples(path, task)
        loader = str(config.get("dataset_path") or task)
        for chosen in _filters(values):
            items = tuple(_item(row, config, chosen) for row in samples if row.get("filter", "none") == chosen)
            yield Imported(
                harness="lm-eval",
                dataset=task if loader in _LOADERS else loader,
                config=str(config.get("dataset_name") or ""),
                split=str(config.get("test_split") or config.get("validation_split") or ""),
                template=task if chosen == "none" else f"{task}, {chosen}",
                metrics=_metrics(values, chosen, told.get("n-samples", {}).get(task, {}), items),
                items=items,
                kind=_KINDS.get(str(config.get("output_type")), "rank"),
                versions=versions,
                prompt=told.get("task_hashes", {}).get(task) or config.get("doc_to_text"),
            )


def _filters(values: Mapping[str, object]) -> list[str]:
    """Return the filters that metrics were computed under: the part after the comma of ``acc,none``."""
    return list(dict.fromkeys(key.partition(",")[2] for key in values if "," in key))


def _metrics(
    values: Mapping[str, Any], chosen: str, counts: Mapping[str, Any], items: tuple[tuple[Request, Answer], ...]
) -> tuple[Metric, ...]:
    number = int(counts.get("effective") or values.get("sample_len") or len(items))
    sizes = [len(request.choices) for request, _ in items if request.choices]
    chance = sum(1 / size for size in sizes) / len(sizes) if sizes else None
    found = []
    for key, value in values.items():
        name, _, under = key.partition(",")
        if under != chosen or name.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = values.get(f"{name}_stderr,{chosen}")
        error = float(error) if isinstance(error, int | float) else None
        chance_here = chance if name in ("acc", "acc_norm") else None
        found.append(metric_of(name, float(value), items=number, error=error, chance=chance_here))
    return tuple(found)


def _samples(path: Path, task: str) -> list[JsonObject]:
    date = path.stem.removeprefix("results_")
    beside = path.with_name(f"samples_{task}_{date}.jsonl")
    return sorted(read_jsonl(beside), key=lambda row: int(row["doc_id"])) if beside.exists() else []


def _item(row: Mapping[str, Any], config: Mapping[str, Any], chosen: str) -> tuple[Request, Answer]:
    """Read one sample.

    Raises:
        DataError: It has an unknown layout.
    """
    try:
        asked = [
            tuple(call[name] for name in sorted(call)) for _, call in sorted(row["arguments"].items(), key=_number)
        ]
        found = row["filtered_resps"]
        origin = Origin(str(config.get("dataset_path")), str(config.get("dataset_name") or ""), "", int(row["doc_id"]))
        kind = _KINDS.get(str(config.get("output_type")), "rank")
        target = row["target"]
        if kind == "generation":
            references = tuple(map(str, target)) if isinstance(target, list) else (str(target),)
            text = found[0] if isinstance(found[0], str) else found[0][0]
            return Request(asked[0][0], (), None, references, origin), Answer(text=str(text))
        if kind == "loss":
            return Request("", (asked[0][0],), 0, (asked[0][0],), origin), Answer(scores=(float(found[0]),))
        scores = tuple(float(pair[0]) for pair in found)
        choices = tuple(str(call[1]).removeprefix(str(config.get("target_delimiter", " "))) for call in asked)
        gold = _gold(target, choices)
        return Request(asked[0][0], choices, gold, (choices[gold],), origin), Answer(scores=scores)
    except (KeyError, IndexError, TypeError, ValueError):
        where = f"task {config.get('task')!r}, doc_id {row.get('doc_id')}, filter {chosen}"
        raise DataError(f"a sample of lm-eval ({where}) has an unknown layout") from None


def _number(pair: tuple[str, Any]) -> int:
    return int(pair[0].rpartition("_")[2])


def _gold(target: object, choices: tuple[str, ...]) -> int:
    """Return the index of the right choice, which samples give as a number or as a text."""
    if isinstance(target, int) or (isinstance(target, str) and target.isdecimal() and target not in choices):
        return int(target)
    return choices.index(str(target))
