"""Results on disk: one Parquet file of items a job, and one line of scores a job.

Everything that a score is computed from lies in the items file, the job's own fields as metadata of
its schema, so metrics can be computed anew without the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from xmtf.errors import DataError, SourceError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.metrics import generation_metrics, rank_metrics
from xmtf.evaluation.metrics.accuracy import RankItem, best_choice, normalized_scores
from xmtf.evaluation.metrics.registry import item_values
from xmtf.evaluation.suites.jobs import Job
from xmtf.files import MANIFEST, atomic_path, check_replaced, content_hash, read_jsonl, was_written_by
from xmtf.records import Metric, Score
from xmtf.versions import package_versions

__all__ = [
    "ITEM_SCHEMA",
    "About",
    "check_results",
    "items_table",
    "no_results",
    "read_items",
    "read_scores",
    "score_items",
    "versions",
    "write_items",
]

_ABOUT = b"xmtf"
_OF_JOB = ("suite", "task", "split", "template", "language", "prompt_language", "translation")

ITEM_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _OF_JOB),
        ("row", pa.int64()),
        ("prompt", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("scores", pa.list_(pa.float64())),
        ("num_tokens", pa.list_(pa.int32())),
        ("gold", pa.int32()),
        ("choice", pa.int32()),
        ("text", pa.string()),
        ("references", pa.list_(pa.string())),
        ("correct", pa.bool_()),
        ("error", pa.string()),
        ("truncated", pa.bool_()),
        ("unconditional", pa.list_(pa.float64())),
        ("joint", pa.list_(pa.float64())),
    ]
)
"""Columns of an items file.

``scores`` are sums of log-probabilities, ``num_tokens`` the tokens that each was summed over; ``choice``
is the best under the job's scoring. ``unconditional`` and ``joint`` are the sums that the scorings ``pmi`` and
``lm_eval`` need, null where they were not computed. ``correct`` is null for items with an error and for metrics that do
not judge single items (BLEU).
"""


@dataclass(frozen=True, slots=True)
class About:
    """What the items of a file have in common.

    Attributes:
        job: Fields of the :class:`Job` but its requests.
        model: Label of the model.
        model_fingerprint: Hash of weights and tokenizer.
        scoring: How choices were scored.
        versions: Package versions that made the answers.
        decoding: How texts were generated.
        hashes: Of ``weights`` and ``tokenizer``.
    """

    job: Mapping[str, Any]
    model: str
    model_fingerprint: str
    scoring: str
    versions: Mapping[str, str]
    decoding: str = "greedy"
    hashes: Mapping[str, str] = field(default_factory=dict)


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of what makes scores."""
    return package_versions(("torch", "transformers", "tokenizers", "sacrebleu", "rouge_score"))


def items_table(job: Job, answers: Sequence[Answer], scoring: str) -> pa.Table:
    """Return the items of a job as columns of ``ITEM_SCHEMA``."""
    rows = []
    for request, answer in zip(job.requests, answers, strict=True):
        choice = None
        if answer.scores:
            sums = (answer.scores, answer.num_tokens, answer.unconditional, answer.joint)
            choice = best_choice(normalized_scores(scoring, request.choices, *sums))
        rows.append(
            {
                **{name: getattr(job, name) for name in _OF_JOB},
                "row": request.origin.row,
                "prompt": request.prompt,
                "choices": request.choices or None,
                "scores": answer.scores or None,
                "num_tokens": answer.num_tokens or None,
                "gold": request.gold,
                "choice": choice,
                "text": answer.text,
                "references": request.references,
                "correct": _correct(job, request.gold, choice, answer, request.references),
                "error": answer.error,
                "truncated": answer.truncated,
                "unconditional": answer.unconditional or None,
                "joint": answer.joint or None,
            }
        )
    return pa.Table.from_pylist(rows, schema=ITEM_SCHEMA)


def _correct(job: Job, gold: int | None, choice: int | None, answer: Answer, references: Sequence[str]) -> bool | None:
    if answer.error is not None:
        return None
    if job.kind == "rank":
        return choice == gold
    values = item_values(job.metrics, answer.text or "", references, job.language)
    return values[0] == 1.0 if values else None


def write_items(path: Path, table: pa.Table, about: About) -> None:
    """Write an items file, atomically."""
    told = {name: getattr(about, name) for name in About.__dataclass_fields__}
    table = table.replace_schema_metadata({_ABOUT: orjson.dumps(told)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_items(path: Path) -> tuple[pa.Table, About]:
    """Read an items file.

    Raises:
        DataError: Not an items file.
    """
    try:
        table = pq.read_table(path)
        about = About(**orjson.loads(table.schema.metadata[_ABOUT]))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError):
        raise DataError(f"{path}: not an items file of an evaluation") from None
    return table, about


def score_items(table: pa.Table, about: About) -> Score:
    """Compute the metrics of a job from its items; items with an error are counted, never judged."""
    job = about.job
    items = table.to_pylist()
    errors = Counter(item["error"] for item in items if item["error"] is not None)
    judged = [item for item in items if item["error"] is None]
    if job["kind"] == "rank":
        metrics = rank_metrics([_rank_item(item) for item in judged], about.scoring)
    else:
        metrics = generation_metrics(
            tuple(job["metrics"]), [i["text"] for i in judged], [i["references"] for i in judged], job["language"]
        )
    known = set(Score.__dataclass_fields__) & (job.keys() - {"metrics", "dropped"})
    return Score(
        model=about.model,
        model_fingerprint=about.model_fingerprint,
        scoring=about.scoring if job["kind"] == "rank" else about.decoding,
        metrics=metrics,
        dropped={**job["dropped"], **errors},
        versions=dict(about.versions),
        hashes={**about.hashes, "prompts": _prompts_hash(table)},
        **{name: job[name] for name in known},
    )


def _rank_item(item: Mapping[str, Any]) -> RankItem:
    choices, scores, num_tokens, unconditional, joint = (
        tuple(item.get(name) or ()) for name in ("choices", "scores", "num_tokens", "unconditional", "joint")
    )
    return RankItem(choices, scores, num_tokens, item["gold"], unconditional, joint)


def _prompts_hash(table: pa.Table) -> str:
    columns = table.select(["row", "prompt", "choices", "references"])
    return content_hash([list(row.values()) for row in columns.to_pylist()])


def check_results(out: Path, never: str) -> None:
    """Refuse to write results into a folder that holds something else.

    Args:
        out: Where results are to be written; nothing, an empty folder, or results of the same sort.
        never: Pattern of files that only results of another sort have.

    Raises:
        ConfigError: It may not be written to.
    """
    check_replaced(out, "results of the same sort", partial(_holds_results, never=never))


def _holds_results(folder: Path, never: str) -> bool:
    ours = was_written_by("evaluation")(folder) if (folder / MANIFEST).exists() else True
    known = any(next(folder.glob(name), None) for name in ("scores.jsonl", "items", "answers-*.jsonl"))
    return ours and known and next(folder.glob(never), None) is None


def no_results(folder: Path, missing: str) -> SourceError:
    """Return the error that says what to give instead of a folder that has no results: of a run, which it has.

    Args:
        folder: What was given.
        missing: What is not there, such as ``scores.jsonl``.
    """
    found = sorted(str(path.parent) for path in folder.glob("results/*/scores.jsonl"))
    wanted = f"the results of that run, {' or '.join(found)}" if found else "a results folder of `xmtf evaluate`"
    return SourceError(f"{folder}: no {missing} there; give {wanted}")


def read_scores(path: Path) -> list[Score]:
    """Read ``scores.jsonl``.

    Raises:
        DataError: Missing, or not such a file.
    """
    try:
        return [Score(**{**line, "metrics": tuple(Metric(**m) for m in line["metrics"])}) for line in read_jsonl(path)]
    except (KeyError, TypeError):
        raise DataError(f"{path}: not a file of scores of this version of xmtf") from None
