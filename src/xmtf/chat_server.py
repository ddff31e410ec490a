"""A server that speaks OpenAI's interface for conversations: asked here alone, whoever asks.

It may be OpenAI's, vLLM, llama.cpp, Ollama or any other; the package ``openai`` (extra ``openai``) does the talking.
``OPENAI_API_KEY`` and ``OPENAI_BASE_URL`` are read where nothing else is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from xmtf.errors import ConfigError, ServerError, require

__all__ = ["Answer", "ChatServer", "Message"]

Message = Mapping[str, str]
"""``role`` (``system``, ``user``, ``assistant``) and ``content``."""

_NO_KEY = "none"


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
            ConfigError: No key is set for OpenAI's own server.
        """
        self._openai: Any = require("openai", "openai")
        key = os.environ.get("OPENAI_API_KEY")
        if not key and url is None and not os.environ.get("OPENAI_BASE_URL"):
            raise ConfigError("OPENAI_API_KEY is not set; set it, or name your own server as MODEL@http://HOST:PORT/v1")
        self.model = model
        self._parallel = parallel
        self._client = self._openai.OpenAI(api_key=key or _NO_KEY, base_url=url, timeout=timeout_s, max_retries=retries)

    def answers(self, conversations: Sequence[Sequence[Message]], **settings: float | int | str) -> list[Answer]:
        """Return an answer to each conversation, in their order.

        Args:
            conversations: Messages of each.
            settings: Sent with each request: ``temperature``, ``max_tokens``, ``seed``, ``top_p``.

        Raises:
            ServerError: The server cannot be reached, refuses, or answers without a message.
        """
        with ThreadPoolExecutor(max_workers=max(1, min(self._parallel, len(conversations)))) as pool:
            return list(pool.map(lambda messages: self._answer(messages, settings), conversations))

    def _answer(self, messages: Sequence[Message], settings: Mapping[str, float | int | str]) -> Answer:
        try:
            reply = self._client.chat.completions.create(
                model=self.model, messages=[dict(message) for message in messages], **settings
            )
        except self._openai.OpenAIError as error:
            said = " ".join(str(error).split())[:300]
            raise ServerError(f"{self._client.base_url}: {type(error).__name__}: {said}") from None
        if not getattr(reply, "choices", None):
            raise ServerError(
                f"{self._client.base_url}: an answer without a message; is it the address of the interface?"
            )
        choice = reply.choices[0]
        usage = reply.usage
        return Answer(
            choice.message.content or "",
            choice.finish_reason or "",
            usage.prompt_tokens if usage else 0,
            usage.completion_tokens if usage else 0,
            reply.model or self.model,
        )
