"""Results as records of Every Eval Ever, the shared schema of EvalEval (version 0.3.0), one for each suite.

::

    data/<suite>/<developer>/<model>/<uuid>.json            what was measured, number by number
    data/<suite>/<developer>/<model>/<uuid>_samples.jsonl   a line for each item that is right or wrong

Every metric of every prompt is its own result, with its interval and the number of items behind it. Ids are made from
the content, so the same results give the same files. What is written is checked against the rules of the schema that
:func:`check_record` and :func:`check_sample` state.

Source: github.com/evaleval/every_eval_ever at 9bce413, ``every_eval_ever/schemas``.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from xmtf import __version__
from xmtf.artefacts.manifest_parts import EvaluationDetails
from xmtf.artefacts.written_files import WrittenFiles
from xmtf.errors import ConfigError, DataError
from xmtf.execution import warn
from xmtf.files import MANIFEST, content_hash, file_sha256, read_manifest, slug, write_json
from xmtf.json_types import JsonObject
from xmtf.records import Metric, Score, in_percent
from xmtf.results.files import SCORES, no_results
from xmtf.results.items import item_files
from xmtf.results.scores import read_scores

__all__ = ["RELATIONSHIPS", "SCHEMA_VERSION", "Publisher", "check_record", "check_sample", "export_every_eval_ever"]

SCHEMA_VERSION = "0.3.0"
RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
"""What the one who measured is to the one who made the model."""
_SAMPLES = re.compile(r"data/[^/]+/[^/]+/[^/]+/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_POINTS = ("bleu", "chrf")
_ON_THE_HUB = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who measured, and what is not in the results themselves.

    Attributes:
        organization: Name of who measured.
        relationship: One of ``RELATIONSHIPS``.
        model: Id ``developer/name`` of the model; None takes what the results say, under the developer ``local``.
    """

    organization: str
    relationship: str = "other"
    model: str | None = None


def export_every_eval_ever(results: Path, out: Path, publisher: Publisher, *, replace: bool = False) -> list[Path]:
    """Write the records of a results folder.

    Args:
        results: Results folder of ours.
        out: Folder that ``data/`` is written into.
        publisher: Who measured.
        replace: Whether files that somebody changed since are overwritten.

    Returns:
        The records, without their samples.

    Raises:
        SourceError: No results there.
        ConfigError: The id of the model or the relationship is none, or ``out`` holds something else.
        DataError: A record does not follow the schema.
    """
    if publisher.relationship not in RELATIONSHIPS:
        raise ConfigError(f"--relationship {publisher.relationship}: is not one of {', '.join(RELATIONSHIPS)}")
    if not (results / SCORES).exists():
        raise no_results(results, SCORES)
    files = WrittenFiles(out, "records of Every Eval Ever", replace)
    files.check()
    scores = read_scores(results / SCORES)
    model = _model_id(results, scores, publisher.model)
    time = str(int((results / SCORES).stat().st_mtime))
    written: list[Path] = []
    unjudged = 0
    with files.writing(whole=True) as folder:
        for suite in dict.fromkeys(score.suite for score in scores):
            own = [score for score in scores if score.suite == suite]
            name = slug(suite)
            place = Path("data", name, *model.split("/"))
            identifier = _uuid([model, [orjson.dumps(score).decode() for score in own]])
            about = _About(f"{name}/{model.replace('/', '_')}/{time}", model, time, identifier)
            lines, skipped = _samples(results, suite, own, about)
            unjudged += skipped
            record = _record(own, about, publisher)
            if lines:
                path = folder / place / f"{identifier}_samples.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
                record["detailed_evaluation_results"] = {
                    "format": "jsonl",
                    "file_path": f"{place.as_posix()}/{path.name}",
                    "hash_algorithm": "sha256",
                    "checksum": file_sha256(path),
                    "total_rows": len(lines),
                }
            check_record(record)
            (folder / place).mkdir(parents=True, exist_ok=True)
            write_json(folder / place / f"{identifier}.json", record)
            written.append(out / place / f"{identifier}.json")
    if unjudged:
        warn(f"  {unjudged:,} items are neither right nor wrong (graded text, errors) and are left out of the samples")
    return written


@dataclass(frozen=True, slots=True)
class _About:
    evaluation: str
    model: str
    time: str
    identifier: str


def _model_id(results: Path, scores: Sequence[Score], given: str | None) -> str:
    """Return ``developer/name``; a model of this machine has the developer ``local``."""
    if given is not None:
        if not _ON_THE_HUB.fullmatch(given):
            raise ConfigError(f"--model-id {given!r}: give DEVELOPER/NAME, such as bigscience/bloomz-560m")
        return given
    manifest = results / MANIFEST
    told = EvaluationDetails.of(read_manifest(results), results).model if manifest.exists() else None
    told = (told or "").partition("@")[0]
    if told and _ON_THE_HUB.fullmatch(told) and not Path(told).exists():
        return told
    return f"local/{slug(scores[0].model if scores else results.name)}"


def _uuid(about: object) -> str:
    """Return an id of the fourth version that content decides."""
    return str(uuid.UUID(bytes=hashlib.sha256(content_hash(about).encode()).digest()[:16], version=4))


def _record(scores: Sequence[Score], about: _About, publisher: Publisher) -> dict[str, Any]:
    first = scores[0]
    details = {"deployment_type": "self_deployed", "model_availability": "unknown"}
    details |= {f"sha256_{name}": value for name, value in first.hashes.items() if name in ("weights", "tokenizer")}
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": about.evaluation,
        "evaluation_timestamp": about.time,
        "retrieved_timestamp": about.time,
        "source_metadata": {
            "source_name": f"xmtf, suite {first.suite}",
            "source_type": "evaluation_run",
            "source_organization_name": publisher.organization,
            "evaluator_relationship": publisher.relationship,
        },
        "eval_library": {"name": "xmtf", "version": __version__, "additional_details": _texts(first.versions)},
        "model_info": {
            "name": first.model,
            "id": about.model,
            "developer": about.model.partition("/")[0],
            "inference_engine": {"name": "xmtf", "version": __version__},
            "additional_details": details | _texts(first.computed),
        },
        "evaluation_results": [_result(score, metric) for score in scores for metric in score.metrics],
    }


def _name(score: Score) -> str:
    asked = score.provenance
    how = f", {score.scoring}" if score.kind == "code" else ""
    return f"{asked.task} [{asked.split}]: {asked.template}{how}"


def _result_id(score: Score, metric: str) -> str:
    asked = score.provenance
    return content_hash([score.suite, asked.task, asked.split, asked.template, score.scoring, metric])[:24]


def _result(score: Score, metric: Metric) -> dict[str, Any]:
    bounds = _bounds(metric.name)
    found: dict[str, Any] = {
        "evaluation_result_id": _result_id(score, metric.name),
        "evaluation_name": _name(score),
        "source_data": _source(score, metric.num_items),
        "metric_config": {
            "metric_id": metric.name,
            "metric_name": metric.name.replace("_", " "),
            "metric_kind": metric.name.partition("@")[0].partition(":")[0],
            "metric_unit": "proportion" if in_percent(metric.name) else "points",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": bounds[0],
            "max_score": bounds[1],
            "additional_details": _texts({"signature": metric.signature, "chance": metric.chance}),
        },
        "score_details": {
            "score": metric.value,
            "details": _texts({"majority": metric.majority, "dropped": sum(score.dropped.values()) or None}),
            "uncertainty": {"num_samples": metric.num_items},
        },
        "generation_config": {"generation_args": {}, "additional_details": _asked(score)},
    }
    if metric.low is not None and metric.high is not None:
        found["score_details"]["uncertainty"]["confidence_interval"] = {
            "lower": metric.low,
            "upper": metric.high,
            "confidence_level": 0.95,
        }
    return found


def _bounds(metric: str) -> tuple[float | str, float | str]:
    if in_percent(metric):
        return 0.0, 1.0
    return (0.0, 100.0) if metric in _POINTS else ("-Infinity", "Infinity")


def _source(score: Score, items: int) -> dict[str, Any]:
    asked = score.provenance
    details = _texts({
        "subset": asked.subset,
        "language": asked.language,
        "revision": score.revision,
        "rows": score.hashes.get("data"),
        "some_rows_only": "yes" if score.limited else None,
    })  # fmt: skip
    if not _ON_THE_HUB.fullmatch(asked.dataset) or asked.dataset.startswith("cldr/"):
        details |= {"split": asked.split, "samples_number": str(items)}
        return {"dataset_name": asked.dataset, "source_type": "other", "additional_details": details}
    return {
        "dataset_name": asked.dataset.partition("/")[2],
        "source_type": "hf_dataset",
        "hf_repo": asked.dataset,
        "hf_split": asked.split,
        "samples_number": items,
        "additional_details": details,
    }


def _asked(score: Score) -> dict[str, str]:
    asked, shots = score.provenance, score.shots
    return _texts({
        "kind": score.kind,
        "scoring": score.scoring,
        "template": asked.template,
        "template_hash": score.template_hash,
        "prompt_language": asked.prompt_language,
        "translation": asked.translation,
        "num_fewshot": shots.number if shots else 0,
        "fewshot_split": shots.split if shots else None,
        "fewshot_choice": shots.choice if shots else None,
        "answer_after": score.answer_after,
    })  # fmt: skip


def _texts(values: Any) -> dict[str, str]:
    """Return what is known as texts, as the schema needs further details."""
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def _samples(results: Path, suite: str, scores: Sequence[Score], about: _About) -> tuple[list[JsonObject], int]:
    """Return a line for each item that is right or wrong, and how many are neither."""
    by_job = {(each.provenance, each.kind): each for each in scores}
    lines: list[JsonObject] = []
    skipped = 0
    for told, table in (job for file in item_files(results) for job in file.each_job()):
        score = by_job.get((told.job.provenance, told.job.kind))
        if told.job.suite != suite or score is None or not score.metrics:
            continue
        for item in table.to_pylist():
            if item["correct"] is None:
                skipped += 1
                continue
            line = _sample(item, score, about)
            check_sample(line)
            lines.append(line)
    return lines, skipped


def _sample(item: JsonObject, score: Score, about: _About) -> JsonObject:
    asked = score.provenance
    ranked = item["choices"] is not None and item["choice"] is not None
    answer = item["choices"][item["choice"]] if ranked else item["text"] or ""
    where = f"{asked.dataset}/{asked.subset}" if asked.subset else asked.dataset
    output: JsonObject = {"raw": [answer]}
    if item["reasoning"]:
        output["reasoning_trace"] = [item["reasoning"]]
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": about.evaluation,
        "model_id": about.model,
        "evaluation_name": _name(score),
        "evaluation_result_id": _result_id(score, score.metrics[0].name),
        "sample_id": f"{where} [{asked.split}] row {item['row']}",
        "sample_hash": hashlib.sha256(f"{item['prompt']}{item['references']}".encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": item["prompt"], "reference": item["references"], "choices": item["choices"]},
        "output": output,
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": "highest log-probability" if ranked else "whole answer",
                "is_terminal": True,
            }
        ],
        "evaluation": {"score": float(item["correct"]), "is_correct": item["correct"]},
    }


_Rules = dict[str, type | tuple[type, ...]]
_TEXTS: _Rules = dict.fromkeys(("schema_version", "evaluation_id", "retrieved_timestamp"), str)
_SAMPLE_TEXTS: _Rules = dict.fromkeys(
    ("schema_version", "evaluation_id", "model_id", "evaluation_name", "sample_id"), str
)


def check_record(record: JsonObject) -> None:
    """Refuse a record that breaks a rule of the schema: keys that must be there, their types, words and bounds.

    Raises:
        DataError: Names the key.
    """
    _require(record, _TEXTS | {"source_metadata": dict, "model_info": dict, "eval_library": dict}, "record")
    _require(record["source_metadata"], {"source_organization_name": str}, "source_metadata")
    _one_of(record["source_metadata"], "source_type", ("documentation", "evaluation_run"))
    _one_of(record["source_metadata"], "evaluator_relationship", RELATIONSHIPS)
    _require(record["eval_library"], {"name": str, "version": str}, "eval_library")
    _require(record["model_info"], {"name": str, "id": str, "additional_details": dict}, "model_info")
    details = record["model_info"]["additional_details"]
    _one_of(details, "deployment_type", ("self_deployed", "externally_managed", "unknown"))
    _one_of(details, "model_availability", ("open_weights", "closed_weights", "unknown"))
    _only_texts(details)
    for result in record["evaluation_results"]:
        _require(result, {"evaluation_name": str, "source_data": dict, "score_details": dict}, "evaluation_results")
        _require(result["metric_config"], {"lower_is_better": bool}, "metric_config")
        _require(result["score_details"], {"score": (int, float)}, "score_details")
        _one_of(result["source_data"], "source_type", ("url", "hf_dataset", "other"))
        _require(result["source_data"], {"dataset_name": str}, "source_data")
        if result["metric_config"].get("score_type") == "continuous":
            _require(result["metric_config"], dict.fromkeys(("min_score", "max_score"), (int, float, str)), "metric")
        for holder in (result["source_data"], result["metric_config"], result["generation_config"]):
            _only_texts(holder.get("additional_details", {}))
        _only_texts(result["score_details"].get("details", {}))
    if "detailed_evaluation_results" in record:
        path = record["detailed_evaluation_results"]["file_path"]
        if not _SAMPLES.fullmatch(path.removesuffix("_samples.jsonl")):
            raise DataError(f"record of Every Eval Ever: file_path {path!r} is not data/SUITE/DEVELOPER/MODEL/UUID")


def check_sample(line: JsonObject) -> None:
    """Refuse a line of samples that breaks a rule of the schema.

    Raises:
        DataError: Names the key.
    """
    _require(line, _SAMPLE_TEXTS | {"answer_attribution": list}, "sample")
    _one_of(line, "interaction_type", ("single_turn", "multi_turn", "agentic"))
    _require(line["input"], {"raw": str, "reference": list}, "input")
    _require(line["output"], {"raw": list}, "output")
    _require(line["evaluation"], {"score": float, "is_correct": bool}, "evaluation")


def _require(holder: JsonObject, rules: _Rules, where: str) -> None:
    for name, kinds in rules.items():
        if not isinstance(holder.get(name), kinds):
            raise DataError(f"record of Every Eval Ever: {where}.{name} is {holder.get(name)!r}")


def _one_of(holder: JsonObject, name: str, words: Sequence[str]) -> None:
    if holder.get(name) not in words:
        raise DataError(f"record of Every Eval Ever: {name} is {holder.get(name)!r}, not one of {', '.join(words)}")


def _only_texts(holder: JsonObject) -> None:
    for name, value in holder.items():
        if not isinstance(value, str):
            raise DataError(f"record of Every Eval Ever: {name} is {value!r}, not text")
