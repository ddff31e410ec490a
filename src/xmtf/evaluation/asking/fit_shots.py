"""Shots before prompts, as many as fit the model: a prompt that is too long loses whole shots, the first ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xmtf.evaluation.asking.subject import AnySubject
from xmtf.evaluation.engine.encoding import Encoder
from xmtf.evaluation.suites.jobs import Job
from xmtf.execution import warn
from xmtf.records import Request
from xmtf.tokens.tokenizer.tokenizer import Tokenizer

__all__ = ["fit_shots"]


def fit_shots(jobs: Sequence[Job], subject: AnySubject) -> list[Job]:
    """Return the jobs with their shots in their prompts; how many were lost is in ``info.shots``, and is said.

    Where a model is asked elsewhere and there is no tokenizer of it here, all are kept: it refuses what does not fit.
    """
    if not any(request.shots for job in jobs for request in job.requests):
        return list(jobs)
    tokenizer = subject.tokenizer
    if tokenizer is None or subject.rules is None:
        return [replace(job, requests=tuple(map(_with_all_shots, job.requests))) for job in jobs]
    if isinstance(tokenizer, Tokenizer):
        tokenizer = tokenizer.reading(subject.rules.special_tokens)  # counts what it reads; these texts are read again
    encoder = Encoder(tokenizer, subject.rules)
    fitted = [_fitted(job, encoder, subject) if any(request.shots for request in job.requests) else job for job in jobs]
    told = [job.info.shots for job in fitted if job.info.shots is not None]
    if lost := sum(each.lost for each in told):
        items = sum(each.shortened for each in told)
        warn(f"  {lost:,} shots do not fit the model and are dropped, in {items:,} prompts")
    return fitted


def _with_all_shots(request: Request) -> Request:
    return replace(request, prompt="".join((*request.shots, request.prompt)), shots=())


def _fitted(job: Job, encoder: Encoder, subject: AnySubject) -> Job:
    assert job.info.shots is not None
    room = _room(job.requests, encoder, subject)
    shots = [request.shots for request in job.requests]
    waiting = [place for place, each in enumerate(shots) if each]
    while waiting:
        texts = ["".join((*shots[place], job.requests[place].prompt)) for place in waiting]
        encoded = encoder.prompts(texts, [room[place] for place in waiting])
        long = [place for place, ids in zip(waiting, encoded, strict=True) if ids.truncated]
        for place in long:
            shots[place] = shots[place][1:]
        waiting = [place for place in long if shots[place]]
    lost = [len(request.shots) - len(kept) for request, kept in zip(job.requests, shots, strict=True)]
    requests = tuple(
        replace(request, prompt="".join((*kept, request.prompt)), shots=())
        for request, kept in zip(job.requests, shots, strict=True)
    )
    told = replace(job.info.shots, lost=sum(lost), shortened=sum(map(bool, lost)))
    return Job(replace(job.info, shots=told), requests)


def _room(requests: Sequence[Request], encoder: Encoder, subject: AnySubject) -> list[int]:
    """Return the tokens that must fit behind each prompt."""
    choices = encoder.choices([request.choices for request in requests])
    most = subject.decoding.max_new_tokens
    return [max(map(len, row)) if row else most for row in choices]
