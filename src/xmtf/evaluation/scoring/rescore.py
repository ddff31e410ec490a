"""Metrics computed anew from the items of a finished evaluation: no model needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from xmtf.errors import ConfigError, UnknownNameError
from xmtf.evaluation.metrics.accuracy import SCORINGS
from xmtf.evaluation.metrics.registry import check_metrics
from xmtf.evaluation.scoring.score import score_items
from xmtf.records import Score
from xmtf.results.files import no_results
from xmtf.results.items import item_files
from xmtf.results.scores import write_scores

__all__ = ["rescore"]


def rescore(
    folder: Path, out: Path | None = None, *, scoring: str | None = None, metrics: tuple[str, ...] = ()
) -> list[Score]:
    """Compute the scores of an evaluation from its items.

    Args:
        folder: Results folder, with ``items/``.
        out: File to write the scores to, as JSONL; none by default.
        scoring: One of ``metrics.accuracy.SCORINGS`` instead of what was asked for.
        metrics: Generation metrics instead of those of the tasks.

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
    scores = []
    for path, about, table in ((file.path, *job) for file in files for job in file.each_job()):
        if scoring is not None:
            about = replace(about, scoring=scoring)
        if metrics and about.job.kind == "generation":
            about = replace(about, job=replace(about.job, metrics=tuple(metrics)))
        if not table.num_rows:
            continue
        try:
            scores.append(score_items(table, about))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
    if metrics and not any(score.kind == "generation" for score in scores):
        raise ConfigError(f"--metrics {','.join(metrics)}: nothing in {folder} was generated; leave it out")
    if out is not None:
        write_scores(out, scores)
    return scores
