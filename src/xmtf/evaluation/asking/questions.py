"""What an evaluation asks, written down for those who watch it: how much, and some of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xmtf.evaluation.asking.journal import request_key
from xmtf.evaluation.suites.jobs import Job
from xmtf.records import Request
from xmtf.results.asked import MOST_QUESTIONS, Question, write_asked

__all__ = ["note_questions"]


def note_questions(out: Path, jobs: Sequence[Job], samples: Sequence[tuple[Job, Request]], scoring: str) -> None:
    """Write ``.asked.jsonl``: half of the questions are of each kind, spread evenly over all jobs.

    Args:
        out: Results folder.
        jobs: All jobs.
        samples: Prompts that are answered for people to read.
        scoring: How scores of choices are compared.
    """
    asked = {request_key(request): (job, request) for job, request in samples}
    for job in jobs:
        for request in job.requests:
            asked.setdefault(request_key(request), (job, request))
    ranked = [key for key, (_, request) in asked.items() if request.choices]
    written = [key for key, (_, request) in asked.items() if not request.choices]
    most = MOST_QUESTIONS // 2 if ranked and written else MOST_QUESTIONS
    chosen = [*_spread(written, most), *_spread(ranked, most)]
    write_asked(out, len(asked), scoring, [_question(key, *asked[key]) for key in chosen])


def _spread(keys: list[str], most: int) -> list[str]:
    """Return at most so many of the keys, evenly spread.

    >>> _spread(["a", "b", "c", "d", "e"], 2)
    ['a', 'c']
    """
    number = min(most, len(keys))
    return [keys[place * len(keys) // number] for place in range(number)]


def _question(key: str, job: Job, request: Request) -> Question:
    about = job.info.provenance
    return Question(key, about.task, about.language, request.prompt, request.choices, request.gold, request.references)
