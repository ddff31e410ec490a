"""A model behind a server that speaks OpenAI's interface: answers by conversations or completions, scores by tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from xmtf.errors import ConfigError, ServerError
from xmtf.evaluation.engine.answer import Answer
from xmtf.evaluation.generation.decoding import Decoding, Ending
from xmtf.evaluation.generation.generate import cut_at_stops
from xmtf.evaluation.ranking.passes import ChoiceScore
from xmtf.evaluation.served.backend import Asked, Choices
from xmtf.evaluation.served.token_scores import TokenScores
from xmtf.json_types import JsonObject
from xmtf.servers.chat import choice_of, text_of
from xmtf.servers.client import FailingError, ModelServer, RefusedError
from xmtf.servers.spending import Usage

__all__ = ["HttpBackend", "positions_of", "takes_conversations"]

_CHAT = "/chat/completions"
_COMPLETIONS = "/completions"
_BROKEN = 500
_PROBES = 3
"""How often a conversation is tried again before completions are looked at."""
_MOST_STOPS = 4
"""OpenAI's interface takes no more; the others are searched for in what comes back."""
_TOO_LONG = re.compile(
    r"context.{0,40}(length|size|window)|too (long|large|many tokens)|maximum.{0,40}(length|tokens)", re.I
)
_CONTENT = re.compile(r"content.{0,3}(filter|policy|management)|ContentPolicy", re.I)


class HttpBackend:
    """See :class:`xmtf.evaluation.served.backend.Backend`.

    Args:
        server: The server.
        in_chat: Whether prompts become the user's turn of a conversation.
        scores: How choices are scored, or None.
    """

    def __init__(self, server: ModelServer, *, in_chat: bool, scores: TokenScores | None = None) -> None:
        self._server = server
        self._scores = scores
        self.in_chat = in_chat

    @property
    def ranking(self) -> str | None:
        """Which way log-probabilities of given tokens come."""
        return None if self._scores is None else self._scores.way

    def write(self, asked: Sequence[Asked]) -> Iterator[tuple[int, Answer]]:
        """Yield (index of a prompt, its answer), as they come."""
        return self._server.each(asked, self._write)

    def score(self, asked: Sequence[Choices]) -> Iterator[tuple[int, tuple[ChoiceScore, ...]]]:
        """Yield (index of a prompt, the scores of its choices), as they come."""
        scores = self._scores
        assert scores is not None, "ranking was requested of a backend without scores"
        return self._server.each(asked, lambda each: scores.score(each.context, each.choices))

    def stream(self, asked: Asked, show: Callable[[str], None]) -> Answer:
        """Return the answer to one prompt; ``show`` is given the text so far, again and again."""
        body = self._body(asked) | {"stream_options": {"include_usage": True}}
        text, last = "", JsonObject()
        for piece in self._server.stream(_CHAT if self.in_chat else _COMPLETIONS, body):
            if not piece.get("choices"):
                continue
            choice = choice_of(piece, self._server.url)
            last = choice if choice.get("finish_reason") else last
            if new := text_of(choice):
                text += new
                show(text)
        return _answer(text, last, asked.decoding)

    def take_usage(self) -> Usage:
        """Return what was spent since this was last called."""
        return self._server.spending.take()

    def resume(self, before: tuple[int, ...]) -> None:
        """Count what earlier commands have spent on the same work."""
        self._server.spending.resume(Usage(*before))

    def about(self, usage: tuple[int, ...]) -> JsonObject:
        """Return what results say of the server: nothing secret, and nothing that depends on how fast it was."""
        spent = Usage(*usage)
        price = self._server.asking.limits.price
        about: JsonObject = {
            "url": self._server.url,
            "model": self._server.name,
            "asked": "chat" if self.in_chat else "completions",
            "requests": spent.requests,
            "tokens_read": spent.read,
            "tokens_written": spent.written,
        }
        extra = {"extra_body": dict(self._server.asking.extra_body)} if self._server.asking.extra_body else {}
        return about | extra | ({"cost": round(price.of(spent), 6)} if price else {})

    def _write(self, asked: Asked) -> Answer:
        if not asked.prompt.strip():
            return Answer(error="empty prompt")
        try:
            reply = self._server.ask(_CHAT if self.in_chat else _COMPLETIONS, self._body(asked))
        except RefusedError as error:
            if error.status in (400, 413, 422) and (why := _of_the_prompt(error.said)):
                return Answer(error=why)
            raise ServerError(f"{error} (prompt: {asked.prompt[:60]!r})") from None
        choice = choice_of(reply, self._server.url)
        return _answer(text_of(choice), choice, asked.decoding)

    def _body(self, asked: Asked) -> JsonObject:
        decoding = asked.decoding
        if decoding.beams > 1:
            raise ConfigError("beams: served models have no beam search; remove --beams")
        body: JsonObject = {"max_tokens": decoding.max_new_tokens, "temperature": decoding.temperature}
        if decoding.temperature > 0:
            body["seed"] = decoding.seed % 2**31
            body |= {"top_p": decoding.top_p} if decoding.top_p < 1 else {}
            body |= {"top_k": decoding.top_k} if decoding.top_k else {}
        if decoding.min_new_tokens:
            body["min_tokens"] = decoding.min_new_tokens
        if decoding.stops:
            body["stop"] = list(decoding.stops[:_MOST_STOPS])
        if self.in_chat:
            return body | {"messages": [{"role": "user", "content": asked.prompt}]}
        return body | {"prompt": asked.prompt}


def takes_conversations(server: ModelServer) -> str | None:
    """Return None where a server answers a conversation, else why it does not.

    ``transformers serve`` breaks down (500) over a conversation with a model that has no chat template: a server that
    does so each time, and completes a text, answers none.

    Raises:
        ServerError: It cannot be reached at all, or a limit is reached.
    """
    body: JsonObject = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    try:
        try:
            reply = server.ask(_CHAT, body, retries=_PROBES)
        except FailingError as error:
            if error.status == _BROKEN and _completes(server):
                return error.said
            reply = server.ask(_CHAT, body)
        choice_of(reply, server.url)
    except RefusedError as error:
        if error.status in (401, 403):
            raise
        return error.said
    return None


def _completes(server: ModelServer) -> bool:
    """Return whether a server completes a text."""
    try:
        choice_of(server.ask(_COMPLETIONS, {"prompt": "Hello", "max_tokens": 1}, retries=_PROBES), server.url)
    except (RefusedError, FailingError):
        return False
    return True


def positions_of(server: ModelServer) -> int | None:
    """Return the longest row that a server says its model reads, or None where it does not say."""
    listed = (server.get("/models") or {}).get("data")
    models = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    named = [each for each in models if server.name in (each.get("id"), *(each.get("aliases") or ()))]
    for each in named or (models if len(models) == 1 else []):
        meta = each.get("meta")
        for found in (each.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, dict) else None):
            if isinstance(found, int) and found > 0:
                return found
    return None


def _of_the_prompt(said: str) -> str | None:
    """Return why a prompt, and not the way of asking, was refused; None where that is not so."""
    if _TOO_LONG.search(said):
        return "prompt does not fit the model"
    return "refused for its content" if _CONTENT.search(said) else None


def _answer(text: str, choice: JsonObject, decoding: Decoding) -> Answer:
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Answer(error="refused for its content")
    kept = cut_at_stops(text, decoding.stops)
    return Answer(text=kept, ending=_ending(choice, finish, decoding, cut=kept != text))


def _ending(choice: JsonObject, finish: object, decoding: Decoding, *, cut: bool) -> Ending | None:
    """Return why an answer ended, as far as a server says; a stop text is often not told from the end of the text."""
    if cut or isinstance(choice.get("stop_reason"), str):
        return "stop text"
    if finish == "length":
        return "budget"
    if finish == "stop" and (not decoding.stops or "stop_reason" in choice):
        return "end of text"
    return None
