"""Jobs: the requests of one template on one split of one task, as a suite takes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from xmtf.evaluation.metrics.registry import check_metrics
from xmtf.evaluation.suites.setup import Setup, SuiteSlice
from xmtf.evaluation.suites.shots import Shown, shown_before
from xmtf.json_types import JsonObject
from xmtf.records import FEW_CHOICES, OUTSIDE, Origin, Request
from xmtf.results.items import JobInfo
from xmtf.tasks.caps import within_cap

if TYPE_CHECKING:
    from xmtf.tasks import DropReport, Prompted, Slice
    from xmtf.templates import Template

__all__ = ["Job", "job_of", "jobs"]


@dataclass(frozen=True, slots=True)
class Job:
    """One line of results to be.

    Attributes:
        info: What is asked, as results describe it.
        requests: In the order of the rows.
    """

    info: JobInfo
    requests: tuple[Request, ...]


def jobs(setup: Setup, slices: Iterable[SuiteSlice], report: DropReport | None = None) -> Iterator[Job]:
    """Render the slices and yield their jobs; a template without a single request still yields its job.

    Args:
        setup: How to render.
        slices: What to render.
        report: Takes in what a person should know of dropped rows.

    Raises:
        SourceError: Rows cannot be read.
        TemplateError: A template fails on too many rows.
    """
    from xmtf.sources import fingerprint_source
    from xmtf.tasks.prompting.prompted import prompted_parts

    for part in slices:
        rendered = prompted_parts(
            part.slice, mode=setup.mode, seed=setup.seed, offline=setup.offline, failing_rows=setup.failing_rows
        )
        data = fingerprint_source(part.slice.task.source(part.slice.split), offline=setup.offline)
        for template, prompted in zip(part.slice.templates, rendered, strict=True):
            shown = shown_before(setup, part, template)
            job = job_of(part, template, prompted, seed=setup.seed, data=data, shown=shown)
            if setup.settings.answer_after and job.info.kind == "generation":
                job = replace(job, info=replace(job.info, answer_after=setup.settings.answer_after))
            if report is not None:
                report.add(prompted, part.slice.task.id, part.slice.split, template.name)
            yield job


def job_of(
    part: SuiteSlice,
    template: Template,
    prompted: Prompted,
    *,
    seed: int,
    data: str = "",
    shown: Shown | None = None,
) -> Job:
    """Turn one template's prompted examples into a job; its requests carry the shots that may be before them."""
    task = part.slice.task
    dropped = Counter(prompted.dropped)
    requests = []
    for example in prompted.table.select(["inputs", "targets", "choices", "row"]).to_pylist():
        origin = Origin(task.dataset, task.subset, part.slice.split, example["row"])
        request = _rank(example, origin, dropped) if task.kind == "rank" else _generation(example, origin)
        if request is not None:
            requests.append(request)
    num_read = prompted.table.num_rows + sum(prompted.dropped.values())
    asked = _capped(requests, part.slice, template.name, seed)
    if shown is not None:
        shots = shown.before([(request.origin.row, request.prompt) for request in asked])
        asked = tuple(replace(request, shots=each) for request, each in zip(asked, shots, strict=True))
    info = JobInfo(
        suite=part.suite.name,
        axis=part.suite.axis,
        kind=task.kind,
        provenance=part.slice.provenance(template),
        template_hash=template.hash,
        metrics=("accuracy",) if task.kind == "rank" else check_metrics(task.metrics, f"task {task.id}"),
        dropped=dict(dropped),
        revision=task.commit or task.revision,
        parallel=task.parallel,
        source_languages=task.input_languages,
        limited=len(requests) > len(asked) or num_read == part.slice.limit_rows,
        data=data,
        shots=None if shown is None else shown.asked,
    )
    return Job(info, asked)


def _rank(example: JsonObject, origin: Origin, dropped: Counter[str]) -> Request | None:
    """Return a request whose gold choice is the one that equals the target, or count why there is none.

    In fixed mode most of these were dropped when they were rendered, as for a mixture; left are templates without any
    choices, legacy mode, and tasks that keep such rows.
    """
    choices = tuple(example["choices"] or ())
    if len(choices) < 2:
        dropped[FEW_CHOICES] += 1
        return None
    if example["targets"] not in choices:
        dropped[OUTSIDE] += 1
        return None
    return Request(example["inputs"], choices, choices.index(example["targets"]), (example["targets"],), origin)


def _generation(example: JsonObject, origin: Origin) -> Request:
    return Request(example["inputs"], (), None, (example["targets"],), origin)


def _capped(requests: list[Request], part: Slice, template: str, seed: int) -> tuple[Request, ...]:
    """Keep at most ``cap_examples``: those with the smallest seeded hash of their row, in their order."""
    of = part.task.parallel or part.task.id

    def draw(request: Request) -> int:
        text = f"{seed} {of} {part.split} {template} {request.origin.row}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])

    draws = np.fromiter(map(draw, requests), np.uint64, len(requests))
    return tuple(requests[place] for place in within_cap(draws, part.cap_examples))
