"""Results of lighteval: ``results_*.json`` and, where kept, the items in ``details/**/details_*.parquet``.

A task is named ``suite|task|shots``, in newer versions ``task|shots``; averages over the subsets of a task, and over
all tasks, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import DataError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.interchange.imported import Imported, metric_of
from xmtf.execution import warn
from xmtf.json_types import JsonObject
from xmtf.records import Metric, Origin, Request

__all__ = ["is_lighteval", "model_of", "read_lighteval"]

_COLUMNS = ("doc", "model_response")
"""Of items of versions from 0.10 on."""

_LEVELS = 4
"""Folders above a results file among which ``details`` is searched for: an organisation and a model are between."""

_ACCURACIES = ("acc", "acc_norm")


def is_lighteval(told: object) -> bool:
    """Whether a parsed JSON file is one of lighteval's results."""
    return isinstance(told, dict) and isinstance(told.get("results"), dict) and "config_general" in told


def model_of(told: Mapping[str, Any]) -> tuple[str, str]:
    """Return (name, hash of the weights or ``""``) of the model that a results file is about."""
    general = told.get("config_general") or {}
    inner = general.get("model_config") or {}
    name = str(general.get("model_name") or inner.get("model_name") or "model")
    return name.rstrip("/").rpartition("/")[2], str(general.get("model_sha") or "")


def read_lighteval(path: Path, told: Mapping[str, Any]) -> Iterator[Imported]:
    """Read a results file and the items that are next to it under the same date.

    Args:
        path: The file.
        told: What is in it.

    Raises:
        DataError: The file, or the items of a task, are laid out in another way.
    """
    general = told["config_general"] or {}
    for key, values in told["results"].items():
        if key == "all" or ":_average" in key:
            continue
        if not isinstance(values, dict):
            raise DataError(f"{path}: results of {key!r} are not an object")
        task, shots = _parts(key)
        config = _config(told, key)
        items = _items(path, key, config)
        splits = list(config.get("evaluation_splits") or ())
        yield Imported(
            harness="lighteval",
            dataset=str(config.get("hf_repo") or task.partition(":")[0]),
            config=str(config.get("hf_subset") or task.partition(":")[2]),
            split=str(splits[0]) if len(splits) == 1 else "",
            template=task if shots == "0" else f"{task}, {shots} shots",
            metrics=_metrics(values, config, general, items),
            items=items,
            kind=_kind(config, values, items),
            versions={"lighteval": str(general.get("lighteval_sha") or "")},
            prompt=config.get("prompt_function"),
        )


def _parts(key: str) -> tuple[str, str]:
    """Return the task and the number of its shots.

    >>> _parts("lighteval|xcopa_et:mcf|5"), _parts("gsm8k|0"), _parts("gsm8k")
    (('xcopa_et:mcf', '5'), ('gsm8k', '0'), ('gsm8k', '0'))
    """
    parts = key.split("|")
    shots = parts.pop() if len(parts) > 1 and parts[-1].isdecimal() else "0"
    return parts[-1], shots


def _config(told: Mapping[str, Any], key: str) -> JsonObject:
    configs = told.get("config_tasks") or {}
    found = configs.get(key) or configs.get(key.rpartition("|")[0]) or {}
    return found if isinstance(found, dict) else {}


def _kind(config: JsonObject, values: Mapping[str, Any], items: tuple[tuple[Request, Answer], ...]) -> str:
    """Return whether a task ranks choices or writes answers."""
    if items:
        return "rank" if items[0][0].choices else "generation"
    asked = [str(each.get("category")) for each in config.get("metrics") or () if isinstance(each, dict)]
    if any("GENERATIVE" in each for each in asked):
        return "generation"
    ranked = any("LOGPROBS" in each or "MULTICHOICE" in each for each in asked)
    return "rank" if ranked or any(name.partition(":")[0] in _ACCURACIES for name in values) else "generation"


def _metrics(
    values: Mapping[str, Any], config: JsonObject, general: JsonObject, items: tuple[tuple[Request, Answer], ...]
) -> tuple[Metric, ...]:
    number = len(items) or config.get("effective_num_docs") or general.get("max_samples") or 0
    number = number if isinstance(number, int) and number > 0 else 0  # -1 where it is not known
    sizes = [len(request.choices) for request, _ in items if request.choices]
    chance = sum(1 / size for size in sizes) / len(sizes) if sizes else None
    found = []
    for name, value in values.items():
        if name.endswith("_stderr") or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value):
            continue
        error = values.get(f"{name}_stderr")
        error = float(error) if isinstance(error, int | float) and math.isfinite(error) else None
        chance_here = chance if name in _ACCURACIES else None
        found.append(metric_of(name, float(value), items=number, error=error, chance=chance_here))
    return tuple(found)


def _items(path: Path, key: str, config: JsonObject) -> tuple[tuple[Request, Answer], ...]:
    """Read the items of a task; none where they were not kept, or by a version that laid them out in another way."""
    details = _details(path, key)
    if details is None:
        return ()
    try:
        table = pq.read_table(details)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{details}: cannot be read ({' '.join(str(error).split())[:200]})") from None
    if not set(_COLUMNS) <= set(table.column_names):
        warn(f"{details}: items of an earlier version of lighteval are skipped; only its metrics are read")
        return ()
    return tuple(_item(row, place, config, details) for place, row in enumerate(table.select(_COLUMNS).to_pylist()))


def _details(path: Path, key: str) -> Path | None:
    """Return where the items of a task lie."""
    date = path.stem.removeprefix("results_")
    name = f"details_{key}_{date}.parquet"
    for folder in list(path.parents)[:_LEVELS]:
        found = next((each for each in sorted((folder / "details").rglob("*.parquet")) if each.name == name), None)
        if found is not None:
            return found
    return None


def _item(row: JsonObject, place: int, config: JsonObject, path: Path) -> tuple[Request, Answer]:
    """Read one item.

    Raises:
        DataError: It has an unknown layout.
    """
    try:
        doc, response = row["doc"], row["model_response"]
        number = str(doc.get("id"))
        origin = Origin(
            str(config.get("hf_repo")),
            str(config.get("hf_subset") or ""),
            "",
            int(number) if number.isdecimal() else place,
        )
        golds = doc["gold_index"] if isinstance(doc["gold_index"], list) else [doc["gold_index"]]
        choices = tuple(str(choice).removeprefix(" ") for choice in doc["choices"])
        references = tuple(choices[gold] for gold in golds)
        scores = tuple(float(score) for score in response.get("logprobs") or ())
        if len(choices) > 1 and len(scores) == len(choices):
            return Request(doc["query"], choices, golds[0], references[:1], origin), Answer(scores=scores)
        text = response["text"]
        return Request(doc["query"], (), None, references, origin), Answer(text=str(text[0]))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        raise DataError(f"{path}: row {place} is not in the layout of lighteval's items") from None
