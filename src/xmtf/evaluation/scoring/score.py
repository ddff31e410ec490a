"""From answers to items, and from items to scores.

Everything that a score is computed from lies in the items, so metrics can be recomputed without the model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import pyarrow as pa

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.metrics import generation_metrics, rank_metrics
from xmtf.evaluation.metrics.accuracy import RankItem, best_choice, normalized_scores, rank_counts, rank_picks
from xmtf.evaluation.metrics.answer_language import Found, answer_languages
from xmtf.evaluation.metrics.registry import has_answer, item_counts, item_values
from xmtf.evaluation.suites.jobs import Job
from xmtf.files import content_hash
from xmtf.plugins import loaded_versions
from xmtf.records import Request, Score
from xmtf.results.items import ITEM_SCHEMA, About, JobInfo
from xmtf.versions import package_versions

__all__ = ["items_table", "score_items", "versions", "where_computed"]


def versions() -> Mapping[str, str]:
    """Return the versions of what makes scores, plug-ins that were used among them."""
    return {**_packages(), **loaded_versions()}


@cache
def _packages() -> Mapping[str, str]:
    return package_versions(("torch", "transformers", "tokenizers", "sacrebleu", "rouge_score", "babel", "py3langid"))


def where_computed(model: object, dtype: str, quantize: str | None = None) -> dict[str, str]:
    """Return a model's device and dtype, and what its matrices are kept in where that is less."""
    weight = next(iter(model.parameters()), None) if hasattr(model, "parameters") else None
    where = {"device": str(weight.device.type)} if weight is not None else {}
    return {"dtype": dtype} | where | ({"quantize": quantize} if quantize else {})


def items_table(job: Job, answers: Sequence[Answer], scoring: str) -> pa.Table:
    """Return the items of a job as columns of ``ITEM_SCHEMA``."""
    shared = {"suite": job.info.suite, **asdict(job.info.provenance)}
    whole = [answer.text for answer in answers]
    answers = [_after_reasoning(answer, job.info.answer_after) for answer in answers]
    rows = []
    compared = [_compared(request, answer, scoring) for request, answer in zip(job.requests, answers, strict=True)]
    measures = _measures(job, answers, compared)
    languages = _languages(job, answers)
    items = zip(job.requests, answers, compared, measures, languages, whole, strict=True)
    for request, answer, scores, measured, language, written in items:
        choice = best_choice(scores) if scores else None
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
                "ending": answer.ending,
                "measures": measured,
                "unconditional": answer.unconditional or None,
                "joint": answer.joint or None,
                "text_language": language.language,
                "text_script": language.script,
                "in_language": language.in_language,
                "reasoning": _reasoning(written, job.info.answer_after),
            }
        )
    return pa.Table.from_pylist(rows, schema=ITEM_SCHEMA)


def _after_reasoning(answer: Answer, mark: str) -> Answer:
    """Return an answer without what a model wrote before the last mark; without the mark it is empty."""
    if not mark or answer.text is None:
        return answer
    return replace(answer, text=answer.text.rpartition(mark)[2].strip() if mark in answer.text else "")


def _reasoning(written: str | None, mark: str) -> str | None:
    """Return what is before the last mark, all of it where there is none; None where nothing is taken apart."""
    if not mark or written is None:
        return None
    return written.rpartition(mark)[0] if mark in written else written


def _languages(job: Job, answers: Sequence[Answer]) -> list[Found]:
    """Return what language each generated answer is in."""
    if job.info.kind == "rank":
        return [Found(None, None, None)] * len(answers)
    texts = [answer.text if answer.error is None else None for answer in answers]
    references = [request.references for request in job.requests]
    return answer_languages(texts, references, job.info.provenance.language)[0]


def _compared(request: Request, answer: Answer, scoring: str) -> tuple[float, ...]:
    """Return what the choices of a request are compared by, or nothing where there are no scores."""
    if not answer.scores:
        return ()
    sums = (answer.scores, answer.num_tokens, answer.unconditional, answer.joint)
    return normalized_scores(scoring, request.choices, *sums)


def _measures(
    job: Job, answers: Sequence[Answer], compared: Sequence[tuple[float, ...]]
) -> list[list[list[float]] | None]:
    """Return the counts of each measure of each item (:mod:`xmtf.results.measured`), None where there is an error."""
    places = [place for place, answer in enumerate(answers) if answer.error is None]
    chosen = [job.requests[place] for place in places]
    if not places:
        return [None] * len(answers)
    if job.info.kind == "rank":
        scores = [compared[place] for place in places]
        found = rank_counts([request.choices for request in chosen], [request.gold for request in chosen], scores)
    else:
        told = [answers[place] for place in places]
        found = item_counts(
            job.info.metrics,
            [answer.text or "" for answer in told],
            [request.references for request in chosen],
            job.info.provenance.language,
            [answer.ending == "budget" for answer in told],
        )
    measures: list[list[list[float]] | None] = [None] * len(answers)
    for place, counts in zip(places, found, strict=True):
        measures[place] = counts
    return measures


def _correct(
    job: JobInfo, gold: int | None, choice: int | None, answer: Answer, references: Sequence[str]
) -> bool | None:
    if answer.error is not None:
        return None
    if job.kind == "rank":
        return choice == gold
    cut = answer.ending == "budget"
    values = item_values(job.metrics, answer.text or "", references, job.provenance.language, cut=cut)
    return values[0] == 1.0 if values else None


def score_items(table: pa.Table, about: About) -> Score:
    """Compute the metrics of a job from its items; items with an error are counted, never judged."""
    job = about.job
    items = table.to_pylist()
    errors = Counter(item["error"] for item in items if item["error"] is not None)
    judged = [item for item in items if item["error"] is None]
    picks, answer_language, unanswered = None, None, 0
    if job.kind == "rank":
        ranked = [_rank_item(item) for item in judged]
        metrics, picks = rank_metrics(ranked, about.scoring), rank_picks(ranked, about.scoring)
    else:
        texts, references = ([item[name] for item in judged] for name in ("text", "references"))
        cut = [item["ending"] == "budget" for item in judged]
        metrics = generation_metrics(job.metrics, texts, references, job.provenance.language, cut)
        unanswered = sum(not has_answer(job.metrics, text or "", job.provenance.language) for text in texts)
        answer_language = answer_languages(texts, references, job.provenance.language)[1]
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
        hashes={**about.hashes, "prompts": _prompts_hash(table)} | ({"data": job.data} if job.data else {}),
        parallel=job.parallel,
        source_languages=job.source_languages,
        limited=job.limited,
        computed=dict(about.computed),
        picks=picks,
        endings=dict(sorted(Counter(item["ending"] for item in judged if item["ending"]).items())),
        truncated=sum(bool(item["truncated"]) for item in items),
        answer_language=answer_language,
        shots=job.shots,
        answer_after=job.answer_after,
        unanswered=unanswered,
    )


def _rank_item(item: Mapping[str, Any]) -> RankItem:
    choices, scores, num_tokens, unconditional, joint = (
        tuple(item.get(name) or ()) for name in ("choices", "scores", "num_tokens", "unconditional", "joint")
    )
    return RankItem(choices, scores, num_tokens, item["gold"], unconditional, joint)


def _prompts_hash(table: pa.Table) -> str:
    columns = table.select(["row", "prompt", "choices", "references"])
    return content_hash([list(row.values()) for row in columns.to_pylist()])
