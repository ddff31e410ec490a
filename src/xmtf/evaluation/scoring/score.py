"""From answers to items, and from items to scores.

Everything that a score is computed from lies in the items, so metrics can be computed anew without
the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import pyarrow as pa

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.metrics import generation_metrics, rank_metrics
from xmtf.evaluation.metrics.accuracy import RankItem, best_choice, normalized_scores
from xmtf.evaluation.metrics.registry import item_values
from xmtf.evaluation.suites.jobs import Job
from xmtf.files import content_hash
from xmtf.records import Score
from xmtf.results.items import ITEM_SCHEMA, About, JobInfo
from xmtf.versions import package_versions

__all__ = ["items_table", "score_items", "versions"]


@cache
def versions() -> Mapping[str, str]:
    """Return the versions of what makes scores."""
    return package_versions(("torch", "transformers", "tokenizers", "sacrebleu", "rouge_score", "babel"))


def items_table(job: Job, answers: Sequence[Answer], scoring: str) -> pa.Table:
    """Return the items of a job as columns of ``ITEM_SCHEMA``."""
    shared = {"suite": job.info.suite, **asdict(job.info.provenance)}
    rows = []
    for request, answer in zip(job.requests, answers, strict=True):
        choice = None
        if answer.scores:
            sums = (answer.scores, answer.num_tokens, answer.unconditional, answer.joint)
            choice = best_choice(normalized_scores(scoring, request.choices, *sums))
        rows.append(
            {
                **shared,
                "row": request.origin.row,
                "prompt": request.prompt,
                "choices": request.choices or None,
                "scores": answer.scores or None,
                "num_tokens": answer.num_tokens or None,
                "gold": request.gold,
                "choice": choice,
                "text": answer.text,
                "references": request.references,
                "correct": _correct(job.info, request.gold, choice, answer, request.references),
                "error": answer.error,
                "truncated": answer.truncated,
                "unconditional": answer.unconditional or None,
                "joint": answer.joint or None,
            }
        )
    return pa.Table.from_pylist(rows, schema=ITEM_SCHEMA)


def _correct(
    job: JobInfo, gold: int | None, choice: int | None, answer: Answer, references: Sequence[str]
) -> bool | None:
    if answer.error is not None:
        return None
    if job.kind == "rank":
        return choice == gold
    values = item_values(job.metrics, answer.text or "", references, job.provenance.language)
    return values[0] == 1.0 if values else None


def score_items(table: pa.Table, about: About) -> Score:
    """Compute the metrics of a job from its items; items with an error are counted, never judged."""
    job = about.job
    items = table.to_pylist()
    errors = Counter(item["error"] for item in items if item["error"] is not None)
    judged = [item for item in items if item["error"] is None]
    if job.kind == "rank":
        metrics = rank_metrics([_rank_item(item) for item in judged], about.scoring)
    else:
        texts, references = ([item[name] for item in judged] for name in ("text", "references"))
        metrics = generation_metrics(job.metrics, texts, references, job.provenance.language)
    return Score(
        model=about.model,
        model_fingerprint=about.model_fingerprint,
        suite=job.suite,
        axis=job.axis,
        kind=job.kind,
        scoring=about.scoring if job.kind == "rank" else about.decoding,
        provenance=job.provenance,
        template_hash=job.template_hash,
        metrics=metrics,
        dropped={**job.dropped, **errors},
        versions=dict(about.versions),
        revision=job.revision,
        hashes={**about.hashes, "prompts": _prompts_hash(table)},
    )


def _rank_item(item: Mapping[str, Any]) -> RankItem:
    choices, scores, num_tokens, unconditional, joint = (
        tuple(item.get(name) or ()) for name in ("choices", "scores", "num_tokens", "unconditional", "joint")
    )
    return RankItem(choices, scores, num_tokens, item["gold"], unconditional, joint)


def _prompts_hash(table: pa.Table) -> str:
    columns = table.select(["row", "prompt", "choices", "references"])
    return content_hash([list(row.values()) for row in columns.to_pylist()])
