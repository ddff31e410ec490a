"""Jobs: the requests of one template on one split of one task, as a suite takes it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xmtf.evaluation.metrics.registry import check_metrics
from xmtf.evaluation.suites.setup import Setup, SuiteSlice
from xmtf.files import slug
from xmtf.records import Origin, Request, Translation

if TYPE_CHECKING:
    from xmtf.tasks import Prompted, Slice
    from xmtf.templates import Template

__all__ = ["Job", "job_of", "jobs"]


@dataclass(frozen=True, slots=True)
class Job:
    """One line of results to be: what is asked and what is known about it.

    Attributes:
        requests: In the order of the rows.
        dropped: Rows that cannot be asked, counted by reason.
        metrics: Of a generation job; ``accuracy`` of a rank job.

    The other fields are those of :class:`xmtf.records.Score`.
    """

    suite: str
    axis: str
    kind: str
    task: str
    cluster: str
    dataset: str
    subset: str
    split: str
    template: str
    template_hash: str
    language: str
    prompt_language: str
    translation: Translation
    metrics: tuple[str, ...]
    requests: tuple[Request, ...]
    dropped: dict[str, int]
    revision: str | None = None

    @property
    def name(self) -> str:
        """File name of the job's items, without suffix; distinct jobs have distinct names."""
        return slug("--".join((self.suite, self.task, self.split, self.template, self.template_hash[:8])))

    def about(self) -> dict[str, Any]:
        """Return every field but the requests, as JSON values."""
        names = [name for name in Job.__dataclass_fields__ if name != "requests"]
        return {name: getattr(self, name) for name in names}


def jobs(setup: Setup, slices: Iterable[SuiteSlice]) -> Iterator[Job]:
    """Render the slices and yield their jobs; a template without a single request still yields its job.

    Raises:
        SourceError: Rows cannot be read.
        TemplateError: A template fails on too many rows.
    """
    from xmtf.tasks.prompted import prompted_parts

    for part in slices:
        rendered = prompted_parts(
            part.slice, mode=setup.mode, seed=setup.seed, offline=setup.offline, failing_rows=setup.failing_rows
        )
        for template, prompted in zip(part.slice.templates, rendered, strict=True):
            yield job_of(part, template, prompted, seed=setup.seed)


def job_of(part: SuiteSlice, template: Template, prompted: Prompted, *, seed: int) -> Job:
    """Turn one template's prompted examples into a job."""
    task = part.slice.task
    dropped = Counter(prompted.dropped)
    requests = []
    for example in prompted.table.select(["inputs", "targets", "choices", "row"]).to_pylist():
        origin = Origin(task.dataset, task.subset, part.slice.split, example["row"])
        request = _rank(example, origin, dropped) if task.kind == "rank" else _generation(example, origin)
        if request is not None:
            requests.append(request)
    return Job(
        suite=part.suite.name,
        axis=part.suite.axis,
        kind=task.kind,
        task=task.id,
        cluster=task.cluster,
        dataset=task.dataset,
        subset=task.subset,
        split=part.slice.split,
        template=template.name,
        template_hash=template.hash,
        language=task.language,
        prompt_language=template.language,
        translation=template.translation,
        metrics=("accuracy",) if task.kind == "rank" else check_metrics(task.metrics, f"task {task.id}"),
        requests=_capped(requests, part.slice, template.name, seed),
        dropped=dict(dropped),
        revision=task.revision,
    )


def _rank(example: dict[str, Any], origin: Origin, dropped: Counter[str]) -> Request | None:
    """Return a request whose gold choice is the one that equals the target, or count why there is none."""
    choices = tuple(example["choices"] or ())
    if len(choices) < 2:
        dropped["fewer than two answer choices"] += 1
        return None
    if example["targets"] not in choices:
        dropped["target is not among the answer choices"] += 1
        return None
    return Request(example["inputs"], choices, choices.index(example["targets"]), (example["targets"],), origin)


def _generation(example: dict[str, Any], origin: Origin) -> Request:
    return Request(example["inputs"], (), None, (example["targets"],), origin)


def _capped(requests: list[Request], part: Slice, template: str, seed: int) -> tuple[Request, ...]:
    """Keep at most ``cap_examples``: those with the smallest seeded hash, in their order."""
    if part.cap_examples is None or len(requests) <= part.cap_examples:
        return tuple(requests)

    def draw(request: Request) -> bytes:
        return hashlib.sha256(f"{seed} {part.task.id} {part.split} {template} {request.origin.row}".encode()).digest()

    kept = set(sorted(map(draw, requests))[: part.cap_examples])
    return tuple(request for request in requests if draw(request) in kept)
