"""Requests asked of a model: those with choices are ranked, the others answered by generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from xmtf.evaluation.asking.journal import Journal, answer_missing, plan_name, request_key
from xmtf.evaluation.asking.subject import AnySubject
from xmtf.evaluation.engine.answer import Answer, Known, nothing_known
from xmtf.evaluation.engine.processes import ALONE, Processes
from xmtf.evaluation.generation.generate import generation_batches
from xmtf.evaluation.ranking.rank import rank_batches
from xmtf.evaluation.served.subject import ServedSubject
from xmtf.records import Request

__all__ = ["ask", "ask_missing"]


def ask(
    subject: AnySubject, requests: Sequence[Request], processes: Processes = ALONE, known: Known = nothing_known
) -> Iterator[list[tuple[int, Answer]]]:
    """Yield, after each batch, the (index of a request, its answer) that it made; choices are ranked first.

    With several ``processes``, the batches of this one. A batch of which all answers are ``known`` is left out.
    """
    if isinstance(subject, ServedSubject):
        yield from subject.ask(requests, processes, known)
        return
    ranked = [index for index, request in enumerate(requests) if request.choices]
    generated = [index for index, request in enumerate(requests) if not request.choices]
    model, tokenizer, rules, most = subject.model, subject.tokenizer, subject.rules, subject.batch_tokens
    if ranked:
        for batch in rank_batches(
            model,
            tokenizer,
            [requests[index] for index in ranked],
            rules=rules,
            batch_tokens=most,
            processes=processes,
            known=lambda place: known(ranked[place]),
        ):
            yield [(ranked[place], answer) for place, answer in batch]
    if generated:
        for batch in generation_batches(
            model,
            tokenizer,
            [requests[index] for index in generated],
            decoding=subject.decoding,
            rules=rules,
            batch_tokens=most,
            processes=processes,
            known=lambda place: known(generated[place]),
        ):
            yield [(generated[place], answer) for place, answer in batch]


def ask_missing(
    subject: AnySubject,
    journal: Journal,
    requests: Sequence[Request],
    processes: Processes = ALONE,
    *,
    takes: Callable[[Request], bool] = lambda request: True,
    share: str | None = None,
) -> None:
    """Ask what the journal has no answer to, each different request once (:func:`answer_missing`).

    Args:
        subject: The model.
        journal: Of its answers.
        requests: All of the evaluation.
        processes: Those that share the batches.
        takes: Tells of a request whether it is of the share that is asked.
        share: Names that share.
    """
    if isinstance(subject, ServedSubject) and (spent := journal.usage()):
        subject.backend.resume(spent)
    plan = plan_name([request_key(request) for request in requests], subject.batch_tokens, share)
    mine = {key: request for request in requests if takes(request) and (key := request_key(request))}
    ranked = {key: request for key, request in mine.items() if request.choices}
    generated = {key: request for key, request in mine.items() if not request.choices}
    for what, chosen in (("ranking", ranked), ("generating", generated)):
        label = f"{what} ({subject.label})"
        answer_missing(
            journal,
            chosen,
            plan,
            lambda asked, known: ask(subject, asked, processes, known),
            label=label,
            unit="requests",
        )
