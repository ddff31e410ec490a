"""Requests asked of a model: those with choices are ranked, the others answered by generation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xmtf.evaluation.asking.journal import Journal, request_key
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.generation.generate import generation_batches
from xmtf.evaluation.ranking.rank import rank_batches
from xmtf.execution import track
from xmtf.records import Request

__all__ = ["ask", "ask_missing"]


def ask(
    subject: Subject, requests: Sequence[Request], processes: Processes = ALONE
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its answer) that it made; choices are ranked first.

    With several ``processes``, the batches of this one.
    """
    ranked = [index for index, request in enumerate(requests) if request.choices]
    generated = [index for index, request in enumerate(requests) if not request.choices]
    model, tokenizer, rules, most = subject.model, subject.tokenizer, subject.rules, subject.batch_tokens
    if ranked:
        asked = [requests[index] for index in ranked]
        for batch in rank_batches(model, tokenizer, asked, rules=rules, batch_tokens=most, processes=processes):
            yield [(ranked[place], answer) for place, answer in batch]
    if generated:
        asked = [requests[index] for index in generated]
        for batch in generation_batches(
            model, tokenizer, asked, decoding=subject.decoding, rules=rules, batch_tokens=most, processes=processes
        ):
            yield [(generated[place], answer) for place, answer in batch]


def ask_missing(subject: Subject, journal: Journal, requests: Sequence[Request], processes: Processes = ALONE) -> None:
    """Ask what the journal has no answer to, each different request once, and write the answers down."""
    to_do = {key: request for request in requests if journal.get(key := request_key(request)) is None}
    ranked = {key: request for key, request in to_do.items() if request.choices}
    generated = {key: request for key, request in to_do.items() if not request.choices}
    for what, chosen in (("ranking", ranked), ("generating", generated)):
        if not chosen:
            continue
        keys = list(chosen)
        with track(f"{what} ({subject.label})", total=len(keys), unit="requests") as progress:
            for batch in ask(subject, list(chosen.values()), processes):
                journal.add([(keys[index], answer) for index, answer in batch])
                progress.advance(len(batch))
