"""A model is asked with a rendered row: the scores of its choices, then its answer, as events."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from starlette.responses import Response

from xmtf.errors import ConfigError, ServerError, UnknownNameError
from xmtf.loopback.events import Event, event_stream
from xmtf.studio.interface.browsing import Rendering, RenderRequest
from xmtf.studio.interface.trying import ChoiceScore, ChoiceScores, TextPiece, TryDone, TryFault, TryRequest
from xmtf.studio.look import render
from xmtf.studio.session import Session

if TYPE_CHECKING:
    from xmtf.studio.models import Scored, Tried

__all__ = ["try_model"]


class _StoppedError(Exception):
    """Nobody listens any more."""


def try_model(session: Session, request: TryRequest) -> Response:
    """Answer with events: ``choices`` (or ``note``), ``text`` again and again, ``done``; or ``error``."""
    if request.model not in session.options.models:
        raise UnknownNameError("model", request.model, session.options.models, "--model")
    asked = RenderRequest(
        key=request.key,
        task=request.task,
        split=request.split,
        rows=[request.row],
        template=request.template,
        draft=request.draft,
    )
    found = render(session, asked)
    if found.error is not None:
        raise ConfigError(found.error.message)
    if len(found.renderings) != 1:
        raise ConfigError("give the template to try")
    return event_stream(_events(session, request, _prompt(found.renderings[0]), found.renderings[0]))


def _prompt(rendering: Rendering) -> str:
    if rendering.inputs is None:
        raise ConfigError(f"this row gives no prompt: {rendering.dropped or 'the template does not apply to it'}")
    if rendering.cut:
        raise ConfigError("this prompt is too long to try here")
    return rendering.inputs


def _events(session: Session, request: TryRequest, prompt: str, rendering: Rendering) -> Iterator[Event]:
    with session.models.lock:
        began = time.monotonic()
        options = session.options
        model = session.models.get(request.model, options.tokenizers, offline=options.offline)
        if rendering.choices:
            yield _ranked(model, prompt, rendering.choices)
        tokens = None
        if request.generate:
            tokens = yield from _written(model, prompt, request.max_new_tokens)
        yield Event("done", TryDone(tokens=tokens, seconds=time.monotonic() - began).model_dump())


def _ranked(model: Tried, prompt: str, choices: list[str]) -> Event:
    """Return the scores of choices, or why there are none; an answer can be written all the same."""
    try:
        return Event("choices", _scores(choices, model.scores(prompt, choices)).model_dump())
    except (ConfigError, ServerError) as error:
        return Event("note", TryFault(message=str(error)).model_dump())


def _scores(choices: list[str], scored: Scored) -> ChoiceScores:
    counts = scored.num_tokens or (0,) * len(choices)
    return ChoiceScores(
        scores=[
            ChoiceScore(choice=choice, logprob=total, normalised=total / count if count else None)
            for choice, total, count in zip(choices, scored.sums, counts, strict=True)
        ],
        picked=max(range(len(choices)), key=lambda index: scored.sums[index]),
    )


def _written(model: Tried, prompt: str, most: int) -> Generator[Event, None, int | None]:
    """Yield the answer's pieces as they are made, in a thread that stops once nobody listens; return its tokens."""
    pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    is_left = threading.Event()

    def show(piece: str) -> None:
        if is_left.is_set():
            raise _StoppedError
        pieces.put(piece)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(model.write, prompt, most, show)
        answer.add_done_callback(lambda _: pieces.put(None))
        try:
            while (piece := pieces.get()) is not None:
                if piece:
                    yield Event("text", TextPiece(piece=piece).model_dump())
            return answer.result()
        finally:
            is_left.set()
