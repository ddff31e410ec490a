"""A chat template: compiled once, rendered in the sandbox as transformers would render it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from jinja2.exceptions import SecurityError

from xmtf.conversations.environment import ANSWER, DEFAULT_DAY, RefusedError, Root, compile_chat, run_chat
from xmtf.errors import ConfigError, TemplateError
from xmtf.files import content_hash
from xmtf.json_types import JsonObject
from xmtf.templates.rendering.compile import FAULTS
from xmtf.templates.sandbox.limits import LimitError

__all__ = ["DAY", "ChatTemplate", "TemplateRefusesError"]

DAY = "today"
"""Argument of chat templates that is the day which ``strftime_now`` tells."""
_REASONING = ("reasoning_content", "thinking", "reasoning")
_MOST_SAID = 160


class TemplateRefusesError(Exception):
    """A template cannot render a conversation; the text says why."""


@dataclass(frozen=True)
class ChatTemplate:
    """A template, and what it sees alongside the conversation.

    Attributes:
        source: Its Jinja source.
        label: What messages call it.
        special: ``bos_token``, ``eos_token`` and the like, as the tokenizer spells them.
        arguments: Further variables, such as ``enable_thinking``; ``today`` is the day that ``strftime_now`` tells.

    Raises:
        TemplateError: The source does not parse.
        ConfigError: An argument has the name of what every template sees, or ``today`` is no day.
    """

    source: str
    label: str = "the chat template"
    special: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compile it, and read the day."""
        if taken := {"messages", "tools", "documents", "add_generation_prompt"} & set(self.arguments):
            raise ConfigError(f"tokens.chat_arguments: {min(taken)} is set by conversations; remove it")
        assert self._root is not None
        assert self._day is not None

    @cached_property
    def _root(self) -> Root:
        try:
            return compile_chat(self.source)
        except FAULTS as error:
            line = getattr(error, "lineno", None)
            where = f", line {line}" if line else ""
            raise TemplateError(f"{self.label}{where}: {_said(error)}") from None

    @cached_property
    def _day(self) -> datetime.date:
        told = self.arguments.get(DAY, DEFAULT_DAY)
        try:
            return datetime.date.fromisoformat(str(told))
        except ValueError:
            raise ConfigError(f"tokens.chat_arguments.today: {told!r} is not a date, such as {DEFAULT_DAY}") from None

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that decides what it renders."""
        return content_hash([self.source, dict(self.special), dict(self.arguments)])

    @cached_property
    def marks_answers(self) -> bool:
        """Whether it has ``{% generation %}`` around what the assistant says."""
        return "generation" in self.source and ANSWER in self._probe()

    def _probe(self) -> str:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        try:
            return self.render(turns)
        except TemplateRefusesError:
            return ""

    def render(
        self,
        messages: Sequence[JsonObject],
        tools: Sequence[JsonObject] | None = None,
        *,
        generation_prompt: bool = False,
    ) -> str:
        """Return the text of messages, with the marks of ``{% generation %}`` in it.

        Args:
            messages: Turns.
            tools: Schemas of functions.
            generation_prompt: Whether what is before the next answer follows.

        Raises:
            TemplateRefusesError: The template does not take these messages.
            TemplateError: It asks for more than a row may cost, or for what is not there.
        """
        arguments = {name: value for name, value in self.arguments.items() if name != DAY}
        values = {
            **self.special,
            **arguments,
            "messages": [_with_reasoning(turn) for turn in messages],
            "tools": None if tools is None else list(tools),
            "documents": None,
            "add_generation_prompt": generation_prompt,
        }
        try:
            return run_chat(self._root, values, self._day)
        except RefusedError as error:
            raise TemplateRefusesError(_said(error)) from None
        except (LimitError, SecurityError) as error:
            raise TemplateError(f"{self.label}: {_said(error)}") from None
        except FAULTS as error:
            raise TemplateRefusesError(f"{type(error).__name__}: {_said(error)}") from None


def _with_reasoning(turn: JsonObject) -> JsonObject:
    """Return a turn with its reasoning under the names that templates read, as transformers gives it."""
    reasoning = next((turn[key] for key in _REASONING if turn.get(key) is not None), None)
    return turn if reasoning is None else {"thinking": reasoning, **turn, "reasoning_content": reasoning}


def _said(error: BaseException) -> str:
    return " ".join(str(error).split())[:_MOST_SAID]
