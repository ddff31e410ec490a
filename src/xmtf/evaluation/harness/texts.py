"""Whole texts scored window by window, with a journal: a command that was killed scores what is missing alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from xmtf.evaluation.asking.journal import Journal, answer_missing, plan_name
from xmtf.evaluation.asking.subject import Subject
from xmtf.evaluation.engine.answer import Answer, Known
from xmtf.evaluation.engine.harness_encoding import TokenPair
from xmtf.evaluation.harness.requests import ModelRequests
from xmtf.files import content_hash

__all__ = ["answer_texts"]


def answer_texts(
    subject: Subject, journal: Journal, texts: Mapping[str, Sequence[str]], *, label: str
) -> dict[str, list[Answer]]:
    """Return the log-probability and the number of tokens of each text, or why there is none.

    Args:
        subject: The model.
        journal: Of its answers, a line for each window.
        texts: Name -> texts.
        label: What progress is called.
    """
    asker = ModelRequests(subject.model, subject.tokenizer, batch_tokens=subject.batch_tokens)
    windows = {name: asker.windows(rows) for name, rows in texts.items()}
    asked = {_window_key(window): window for rows in windows.values() for window in chain(*rows)}
    answer_missing(
        journal,
        asked,
        plan_name(list(asked), subject.batch_tokens),
        lambda chosen, known: _scored(asker, chosen, known),
        label=label,
        unit="windows",
    )
    return {
        name: [_whole([journal.answer(_window_key(window)) for window in row]) for row in rows]
        for name, rows in windows.items()
    }


def _window_key(window: TokenPair) -> str:
    return content_hash([window.context, window.continuation])[:24]


def _scored(asker: ModelRequests, windows: Sequence[TokenPair], known: Known) -> Iterator[list[tuple[int, Answer]]]:
    for batch in asker.score_batches(windows, known):
        yield [
            (
                index,
                Answer((score,), (len(windows[index].continuation),))
                if math.isfinite(score)
                else Answer(error="non-finite score"),
            )
            for index, score, _ in batch
        ]


def _whole(answers: Sequence[Answer]) -> Answer:
    """Return the answer of a text from those of its windows."""
    error = next((answer.error for answer in answers if answer.error is not None), None)
    if error is not None:
        return Answer(error=error)
    return Answer((sum(answer.scores[0] for answer in answers),), (sum(answer.num_tokens[0] for answer in answers),))
