"""Conversations answered by a model behind a server."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xmtf.errors import ConfigError, ServerError
from xmtf.json_types import JsonObject
from xmtf.servers.client import Asking, ModelServer
from xmtf.servers.reference import OPENAI, clean_url

__all__ = ["Answer", "ChatServer", "Message", "choice_of", "text_of"]

Message = Mapping[str, str]
"""``role`` (``system``, ``user``, ``assistant``) and ``content``."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered.

    Attributes:
        text: Its text.
        finish: Why it ended: ``stop``, ``length``, or what the server calls it.
        prompt_tokens: Tokens of the conversation, as the server counts them; 0 where it does not.
        answer_tokens: Tokens of the answer.
        model: What the server calls the model.
    """

    text: str
    finish: str
    prompt_tokens: int
    answer_tokens: int
    model: str


class ChatServer:
    """One model of one server."""

    def __init__(
        self,
        model: str,
        url: str | None = None,
        *,
        parallel: int = 8,
        timeout_s: float = 120,
        retries: int = 4,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            model: Name of the model, as the server knows it.
            url: Address of the interface, such as ``http://localhost:8000/v1``; None: OpenAI's, or ``OPENAI_BASE_URL``.
            parallel: Conversations asked at once.
            timeout_s: Seconds after which a request is given up.
            retries: How often a request is sent again after the server was busy or failed.

        Raises:
            MissingExtraError: The package openai is not installed.
            ConfigError: No key is set for OpenAI's own server, or the address holds one.
        """
        base = url or os.environ.get("OPENAI_BASE_URL")
        if base is None and not os.environ.get("OPENAI_API_KEY"):
            raise ConfigError("OPENAI_API_KEY is not set; set it, or give your own server as MODEL@http://HOST:PORT/v1")
        self.model = model
        asking = Asking(concurrency=parallel, timeout_s=timeout_s, retries=retries)
        self._server = ModelServer(clean_url(base or OPENAI), model, asking)

    def answers(self, conversations: Sequence[Sequence[Message]], **settings: float | int | str) -> list[Answer]:
        """Return an answer to each conversation, in their order.

        Args:
            conversations: Messages of each.
            settings: Sent with each request: ``temperature``, ``max_tokens``, ``seed``, ``top_p``.

        Raises:
            ServerError: The server cannot be reached, refuses, or answers without a message.
        """
        found = dict(self._server.each(conversations, lambda messages: self._answer(messages, settings)))
        return [found[place] for place in range(len(conversations))]

    def _answer(self, messages: Sequence[Message], settings: Mapping[str, float | int | str]) -> Answer:
        body = {"messages": [dict(message) for message in messages], **settings}
        reply = self._server.ask("/chat/completions", body)
        choice = choice_of(reply, self._server.url)
        usage = reply.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        return Answer(
            text_of(choice),
            str(choice.get("finish_reason") or ""),
            int(counts.get("prompt_tokens") or 0),
            int(counts.get("completion_tokens") or 0),
            str(reply.get("model") or self.model),
        )


def choice_of(reply: JsonObject, url: str) -> JsonObject:
    """Return the first answer of a reply.

    Raises:
        ServerError: There is none.
    """
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        raise ServerError(f"{url}: an answer without a message; is this the address of the API?")
    return choice


def text_of(choice: JsonObject) -> str:
    """Return the text of an answer, of a conversation or of a completion; empty where a model only reasoned."""
    message = choice.get("message") or choice.get("delta")
    found = message.get("content") if isinstance(message, dict) else choice.get("text")
    return found if isinstance(found, str) else ""
