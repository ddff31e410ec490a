"""Metrics recomputed from the items of a finished evaluation: no model needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pyarrow as pa

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.metrics.accuracy import SCORINGS
from xmtf.evaluation.metrics.registry import check_metrics
from xmtf.evaluation.scoring.score import score_items
from xmtf.evaluation.scoring.scorer import Asked, Scorer
from xmtf.evaluation.scoring.source_texts import source_texts
from xmtf.intervals import bootstrap_mean
from xmtf.records import Metric, Score
from xmtf.results.files import no_results
from xmtf.results.items import item_files
from xmtf.results.scores import write_scores

__all__ = ["rescore"]


def rescore(
    folder: Path,
    out: Path | None = None,
    *,
    scoring: str | None = None,
    metrics: tuple[str, ...] = (),
    scorers: Sequence[Scorer] = (),
) -> list[Score]:
    """Compute the scores of an evaluation from its items.

    Args:
        folder: Results folder, with ``items/``.
        out: File to write the scores to, as JSONL; none by default.
        scoring: One of ``metrics.accuracy.SCORINGS`` instead of what was asked for.
        metrics: Generation metrics instead of those of the tasks.
        scorers: Programs whose numbers are next to them.

    Raises:
        SourceError: No items there.
        UnknownNameError: No such scoring.
        ConfigError: One whose sums were not computed; metrics where nothing was generated.
        DataError: An items file is broken.
    """
    files = item_files(folder)
    if not files:
        raise no_results(folder, "items/*.parquet")
    if scoring is not None and scoring not in SCORINGS:
        raise UnknownNameError("scoring", scoring, SCORINGS, "--scoring")
    check_metrics(metrics, "--metrics")
    scores: list[Score] = []
    judged: list[tuple[int, pa.Table]] = []
    for path, about, table in ((file.path, *job) for file in files for job in file.each_job()):
        if scoring is not None:
            about = replace(about, scoring=scoring)
        if metrics and about.job.kind == "generation":
            about = replace(about, job=replace(about.job, metrics=tuple(metrics)))
        if not table.num_rows:
            continue
        try:
            scores.append(score_items(table, about))
            judged.append((len(scores) - 1, table))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    if metrics and not any(score.kind == "generation" for score in scores):
        raise ConfigError(f"--metrics {','.join(metrics)}: nothing in {folder} was generated; remove it")
    if scorers and not any(score.kind == "generation" for score in scores):
        raise ConfigError(f"--scorer {scorers[0].name}: nothing in {folder} was generated; remove it")
    for scorer in scorers:
        _add(scorer, scores, judged)
    if out is not None:
        write_scores(out, scores)
    return scores


def _add(scorer: Scorer, scores: list[Score], judged: Sequence[tuple[int, pa.Table]]) -> None:
    """Add the metric of a program to the scores of generated answers; it is started once for all of them."""
    asked: list[Asked] = []
    parts: list[tuple[int, int, str]] = []
    for place, table in judged:
        score = scores[place]
        if score.kind != "generation":
            continue
        items = [item for item in table.to_pylist() if item["error"] is None]
        rows, prompts = [item["row"] for item in items], [item["prompt"] for item in items]
        sources, column = source_texts(score.provenance, rows, prompts)
        language = score.provenance.language
        asked += [
            Asked(source, item["text"] or "", item["references"][0], language)
            for source, item in zip(sources, items, strict=True)
        ]
        parts.append((place, len(items), column))
    values = iter(scorer.score(asked))
    for place, number, column in parts:
        if own := [next(values) for _ in range(number)]:
            low, high = bootstrap_mean(own)
            signature = f"{scorer.signature}|source:{column}"
            metric = Metric(scorer.metric, fmean(own), low, high, None, number, signature)
            scores[place] = replace(scores[place], metrics=(*scores[place].metrics, metric))
