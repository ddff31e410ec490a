"""What any harness tells of one job, and how it becomes a line of scores and a file of items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.interchange.datasets import describe_dataset
from xmtf.evaluation.metrics import GENERATION_METRICS
from xmtf.evaluation.scoring.score import items_table
from xmtf.evaluation.suites.jobs import Job
from xmtf.files import alone_in, content_hash
from xmtf.intervals import Z, wilson
from xmtf.records import Metric, Provenance, Request, Score, in_percent
from xmtf.results.files import JOURNALS, SCORES, check_results, claim_results, describe_results, refuse_replacing
from xmtf.results.items import About, JobInfo, suite_items
from xmtf.results.scores import write_scores
from xmtf.templates.languages.names import language_of_name

__all__ = ["Imported", "check_importable", "metric_of", "write_imported"]

_SHARES = frozenset({"accuracy", "acc_norm", "exact_match"})


@dataclass(frozen=True, slots=True)
class Imported:
    """One job of another harness.

    Attributes:
        harness: Which one; is as the suite.
        dataset: As the harness calls it, such as ``xnli``.
        config: Configuration, or ``""``.
        split: Split, or ``""`` where it is not told.
        template: Name of the prompt.
        metrics: What was measured.
        items: (request, answer) of each item, where the harness kept them.
        kind: ``rank``, ``generation`` or ``loss``.
        versions: Versions that made the numbers.
        prompt: Anything that identifies the prompt's text, to be hashed.
    """

    harness: str
    dataset: str
    config: str
    split: str
    template: str
    metrics: tuple[Metric, ...]
    items: tuple[tuple[Request, Answer], ...] = ()
    kind: str = "rank"
    versions: dict[str, str] = field(default_factory=dict)
    prompt: Any = None

    def job(self) -> Job:
        """Return the job with what the catalogue knows of its dataset."""
        known = describe_dataset(self.dataset, self.config)
        of_name = language_of_name(self.template)
        prompt_language, translation = of_name or ("en", "none")
        info = JobInfo(
            suite=self.harness,
            axis="none",
            kind=self.kind,
            provenance=Provenance(
                language=known.language,
                prompt_language=prompt_language,
                translation=translation,
                task=known.task,
                cluster=known.cluster,
                dataset=known.dataset,
                subset=known.subset,
                split=self.split or known.split,
                template=self.template,
            ),
            template_hash=content_hash([self.dataset, self.template, self.prompt]),
            metrics=tuple(metric.name for metric in self.metrics),
        )
        return Job(info, tuple(request for request, _ in self.items))


def metric_of(
    name: str, value: float, *, items: int = 0, error: float | None = None, chance: float | None = None
) -> Metric:
    """Return a metric of another harness with the interval that can be told from it.

    A share with a standard error has Wilson's interval of as many items as that error belongs to.

    Args:
        name: Of the metric; ``acc`` is ``accuracy`` here.
        value: As the harness gives it.
        items: Items that it was computed from; 0 where that is not told.
        error: Standard error, or None.
        chance: Expected value of guessing, or None.
    """
    name = {"acc": "accuracy"}.get(name, name)
    low = high = None
    if name in _SHARES and items and 0.0 <= value <= 1.0:
        low, high = wilson(value, items)
    elif error is not None and in_percent(name) and 0.0 < value < 1.0 and error > 0:
        low, high = wilson(value, max(1, round(value * (1 - value) / error**2)))
    elif error is not None and not in_percent(name):
        low, high = max(0.0, value - Z * error), value + Z * error
    return Metric(name, value, low, high, chance, items)


def check_importable(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that results of another harness may not be written to.

    Raises:
        ConfigError: It holds something else, or results that would be lost.
    """
    check_results(out, never=JOURNALS)
    refuse_replacing(out, replace=overwrite)


def write_imported(
    jobs: Iterable[Imported], out: Path, *, model: str, fingerprint: str = "", overwrite: bool = False
) -> list[Score]:
    """Write ``scores.jsonl`` and the items that there are; return the scores.

    Args:
        jobs: What was read.
        out: Results folder.
        model: What results call the model.
        fingerprint: Hash of its weights, where the harness tells one.
        overwrite: Whether results that are there are replaced.
    """
    check_importable(out, overwrite=overwrite)
    with alone_in(out, what="results"):
        claim_results(out)
        return _write(jobs, out, model, fingerprint)


def _write(jobs: Iterable[Imported], out: Path, model: str, fingerprint: str) -> list[Score]:
    scores = []
    with suite_items(out) as items:
        for imported in jobs:
            job = imported.job()
            scores.append(_score(job.info, imported, model, fingerprint))
            if imported.items and job.info.kind != "loss":
                judged = replace(job, info=_judged(job.info, imported))
                about = About(judged.info, model, fingerprint, "bloomz", imported.versions)
                items.add(items_table(judged, [answer for _, answer in imported.items], "bloomz"), about)
    write_scores(out / SCORES, scores)
    describe_results(out)
    return scores


def _judged(job: JobInfo, imported: Imported) -> JobInfo:
    """Return the job as its items can be judged again: choices without scores are compared as texts."""
    if job.kind == "rank" and any(answer.scores for _, answer in imported.items):
        return job
    if job.kind == "rank":
        return replace(job, kind="generation", metrics=("exact_text",))
    ours = tuple(name for name in job.metrics if name in GENERATION_METRICS)
    return replace(job, metrics=ours or ("exact_match",))


def _score(job: JobInfo, imported: Imported, model: str, fingerprint: str) -> Score:
    return Score(
        model=model,
        model_fingerprint=fingerprint,
        suite=job.suite,
        axis=job.axis,
        kind=job.kind,
        scoring=imported.harness,
        provenance=job.provenance,
        template_hash=job.template_hash,
        metrics=imported.metrics,
        versions=imported.versions,
    )
