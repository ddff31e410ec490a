"""Sample generations for people to read: few, and spread over tasks and languages.

Which prompts are shown depends on the prompts alone, so the same ones are shown before and after
training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from xmtf.evaluation.asking.journal import request_key
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.suites.jobs import Job
from xmtf.records import Request
from xmtf.results.samples import Sample

__all__ = ["choose_samples", "sample_of"]


_DEFAULT = 10


def choose_samples(jobs: Sequence[Job], number: int | None) -> list[tuple[Job, Request]]:
    """Choose prompts to generate from: families of tasks in turn, in each its languages in turn.

    Generation jobs come first; where they are too few, rank jobs are asked to write their answer.

    Args:
        jobs: All jobs of the evaluation.
        number: How many samples; None for a few where a job writes answers, and none where all rank.
    """
    if number is None:
        number = _DEFAULT if any(job.info.kind == "generation" for job in jobs) else 0
    families: dict[str, dict[str, list[tuple[Job, Request]]]] = defaultdict(lambda: defaultdict(list))
    for job in sorted(jobs, key=lambda job: job.info.kind != "generation"):
        if job.requests:
            first = min(job.requests, key=request_key)
            asked = replace(first, choices=(), gold=None)
            provenance = job.info.provenance
            families[provenance.task.partition("/")[0]][provenance.language].append((job, asked))
    queues = [_in_turn(list(languages.values())) for languages in families.values()]
    chosen: dict[str, tuple[Job, Request]] = {}
    for job, request in _in_turn(queues):
        if len(chosen) == number:
            break
        chosen.setdefault(request_key(request), (job, request))
    return list(chosen.values())


def _in_turn(queues: Sequence[Sequence[tuple[Job, Request]]]) -> list[tuple[Job, Request]]:
    """Take the first of every queue, then the second of every queue, and so on."""
    longest = max(map(len, queues), default=0)
    return [queue[place] for place in range(longest) for queue in queues if place < len(queue)]


def sample_of(job: Job, request: Request, answer: Answer | None) -> Sample:
    """Return what a model wrote, as ``samples.jsonl`` holds it."""
    assert answer is not None, "every sample was queried"
    text = answer.text or "" if answer.error is None else f"({answer.error})"
    info = job.info
    return Sample(info.suite, info.provenance, request.origin.row, request.prompt, request.references, text)
