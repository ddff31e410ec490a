"""Messages in one canonical form, whatever layout a dataset has.

::

    TRL          messages: [{role, content}, ...]                  also `tools`
    TRL          prompt, completion: texts, or lists of messages
    ShareGPT     conversations: [{from, value}, ...]               also `system`, `tools`
    Aya          inputs, targets

    canonical    {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", ...}], "tools": [...]}

Roles are ``system``, ``user``, ``assistant`` and ``tool``. A conversation ends with what the assistant says: what
nobody answers is left out. What makes no conversation is unfit for a reason.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from xmtf.json_types import JsonObject

__all__ = [
    "LAYOUTS",
    "REASONS",
    "SIDES",
    "Conversation",
    "UnfitConversationError",
    "layout_of",
    "read_conversation",
    "turn_text",
    "turn_texts",
]

LAYOUTS: tuple[tuple[str, ...], ...] = (
    ("messages",),
    ("conversations",),
    ("conversation",),
    ("prompt", "completion"),
    ("inputs", "targets"),
)
"""Columns of each layout; the first that a table has counts."""
SIDES = ("system", "tools")
"""Columns that stand alongside those of a layout."""

NO_MESSAGES = "no messages"
NOT_MESSAGES = "messages are no list of role and content"
UNKNOWN_ROLE = "a turn has an unknown role"
EMPTY_TURN = "a turn is empty"
NOT_TEXT = "a turn is not text"
NO_ANSWER = "no turn of the assistant"
NO_QUESTION = "no turn of the user before the assistant's"
BAD_TOOLS = "tools are no list of functions"

_FILL = "remove the row from the data, or fix its messages"
REASONS: Mapping[str, str] = {
    NO_MESSAGES: _FILL,
    NOT_MESSAGES: "write a list of objects with role and content (or from and value)",
    UNKNOWN_ROLE: "roles are system, user, assistant and tool; also human, gpt and observation",
    EMPTY_TURN: _FILL,
    NOT_TEXT: "images and other media are not supported; remove the row from the data",
    NO_ANSWER: "there is nothing to learn from it; remove the row from the data",
    NO_QUESTION: "remove the row from the data, or add what was asked",
    BAD_TOOLS: "write tools as a list of JSON schemas of functions, or as its JSON text",
}
"""Reason of an unfit row -> what to do about it."""

_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "tool_response": "tool",
    "function": "tool",
    "observation": "tool",
}
_CALLS = ("function_call", "tool_call")
"""ShareGPT's roles of turns in which the assistant calls functions."""
_KEPT = ("name", "tool_call_id", "reasoning_content", "reasoning", "thinking")
"""Further fields of a message that chat templates read."""
_SHOWN = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}


class UnfitConversationError(Exception):
    """A row makes no conversation.

    Args:
        reason: One of :data:`REASONS`.
        detail: What exactly.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in canonical form.

    Attributes:
        messages: Turns; each has ``role`` and ``content``, and what else it has of tool calls, names and reasoning.
        tools: JSON schemas of the functions that the assistant may call, or None.
    """

    messages: tuple[JsonObject, ...]
    tools: tuple[JsonObject, ...] | None = None

    @staticmethod
    def asked(question: str, answer: str | None = None, system: str | None = None) -> Conversation:
        """Return the conversation of one question, its answer and a system text, where there are such."""
        turns = [("system", system), ("user", question), ("assistant", answer)]
        return Conversation(tuple({"role": role, "content": text} for role, text in turns if text is not None))

    @staticmethod
    def of_json(text: str) -> Conversation:
        """Read what :meth:`to_json` wrote."""
        value: JsonObject = orjson.loads(text)
        tools = value.get("tools")
        return Conversation(tuple(value["messages"]), None if tools is None else tuple(tools))

    def to_json(self) -> str:
        """Return it as one JSON text, as mixtures keep it."""
        return orjson.dumps(self.fields()).decode()

    def fields(self) -> JsonObject:
        """Return ``messages``, and ``tools`` where there are any: a row as TRL reads it."""
        tools = {} if self.tools is None else {"tools": list(self.tools)}
        return {"messages": list(self.messages)} | tools

    def with_system(self, text: str) -> Conversation:
        """Return it with this system text, unless it has one or the text is empty."""
        if not text or any(turn["role"] == "system" for turn in self.messages):
            return self
        return replace(self, messages=({"role": "system", "content": text}, *self.messages))

    @property
    def answers(self) -> tuple[int, ...]:
        """Places of the turns of the assistant."""
        return tuple(place for place, turn in enumerate(self.messages) if turn["role"] == "assistant")

    def plain(self) -> tuple[str, str]:
        r"""Return inputs and targets as plain text: all turns but the last answer, and that answer.

        >>> Conversation.asked("Hi?", "Yes.").plain()
        ('Hi?', 'Yes.')
        >>> Conversation.asked("Hi?", "Yes.", "Be brief.").plain()
        ('System: Be brief.\n\nUser: Hi?', 'Yes.')
        """
        *before, last = self.messages
        if len(before) == 1 and before[0]["role"] == "user" and self.tools is None:
            return turn_text(before[0]), turn_text(last)
        parts = [f"{_SHOWN[turn['role']]}: {turn_text(turn)}" for turn in before]
        if self.tools is not None:
            parts.insert(0, f"Tools: {_dumped(list(self.tools))}")
        return "\n\n".join(parts), turn_text(last)


def turn_text(turn: JsonObject) -> str:
    """Return all that a turn says, as one text: reasoning, content and calls of functions."""
    reasoning = next((turn[key] for key in ("reasoning_content", "reasoning", "thinking") if turn.get(key)), "")
    calls = _dumped(turn["tool_calls"]) if turn.get("tool_calls") else ""
    return "\n".join(part for part in (reasoning, turn["content"], calls) if part)


def _dumped(value: object) -> str:
    return orjson.dumps(value).decode()


def layout_of(columns: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns of the layout that a table has, or None."""
    return next((layout for layout in LAYOUTS if set(layout) <= set(columns)), None)


def read_conversation(row: JsonObject, layout: tuple[str, ...]) -> tuple[Conversation, int]:
    """Return the conversation of a row, and how many turns at its end are left out since nobody answers them.

    Args:
        row: Column -> value.
        layout: One of :data:`LAYOUTS`.

    Raises:
        UnfitConversationError: The row makes none.
    """
    turns = [turn for value in _turns(row, layout) if (turn := _message(value)) is not None]
    system = row.get("system")
    if isinstance(system, str) and system.strip() and all(turn["role"] != "system" for turn in turns):
        turns.insert(0, {"role": "system", "content": system})
    last = max((place for place, turn in enumerate(turns) if turn["role"] == "assistant"), default=None)
    if last is None:
        raise UnfitConversationError(NO_ANSWER, f"it has {len(turns)} turns")
    first = next(place for place, turn in enumerate(turns) if turn["role"] == "assistant")
    if all(turn["role"] != "user" for turn in turns[: last + 1]) or (
        first == last and all(turn["role"] == "system" for turn in turns[:first])
    ):
        raise UnfitConversationError(NO_QUESTION)
    return Conversation(tuple(turns[: last + 1]), _tools(row.get("tools"))), len(turns) - last - 1


def _turns(row: JsonObject, layout: tuple[str, ...]) -> list[object]:
    if layout == ("inputs", "targets"):
        return [{"role": "user", "content": row["inputs"]}, {"role": "assistant", "content": row["targets"]}]
    if layout == ("prompt", "completion"):
        return [*_side(row["prompt"], "user"), *_side(row["completion"], "assistant")]
    turns = _listed(row[layout[0]])
    if not turns:
        raise UnfitConversationError(NO_MESSAGES, "its list is empty")
    return turns


def _side(value: object, role: str) -> list[object]:
    return [{"role": role, "content": value}] if isinstance(value, str) or value is None else _listed(value)


def _listed(value: object) -> list[object]:
    """Return a list, also one that is written as JSON text."""
    if isinstance(value, str):  # as some hub datasets keep their messages
        try:
            value = json.loads(value)
        except ValueError:
            raise UnfitConversationError(NOT_MESSAGES, "a text that is not JSON") from None
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnfitConversationError(NOT_MESSAGES, f"it is {type(value).__name__}")
    return value


def _message(value: object) -> JsonObject | None:
    """Return one turn in canonical form; None of an empty system text.

    Raises:
        UnfitConversationError: It is none.
    """
    if not isinstance(value, dict):
        raise UnfitConversationError(NOT_MESSAGES, f"a turn is {json.dumps(value, default=str)[:40]}")
    said = value.get("role") if value.get("role") is not None else value.get("from")
    name = said.strip().lower() if isinstance(said, str) else said
    content = value["content"] if "content" in value else value.get("value")
    calls = _calls(value.get("tool_calls"))
    if name in _CALLS:
        role, calls, content = "assistant", _calls(_parsed(content)), None
    elif isinstance(name, str) and name in _ROLES:
        role = _ROLES[name]
    else:
        raise UnfitConversationError(UNKNOWN_ROLE, f"its role is {said!r}")
    text = _text(content, role)
    if role == "system" and not text.strip():
        return None
    if not text.strip() and not calls and role != "tool":
        raise UnfitConversationError(EMPTY_TURN, f"of the {role}")
    further = {key: value[key] for key in _KEPT if isinstance(value.get(key), str) and value[key]}
    return {"role": role, "content": text} | ({"tool_calls": calls} if calls else {}) | further


def _text(content: object, role: str) -> str:
    """Return the text of a turn, also one that is a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else [content]
    texts = [part if isinstance(part, str) else _part(part) for part in parts]
    if any(text is None for text in texts):
        raise UnfitConversationError(NOT_TEXT, f"of the {role}: {json.dumps(content, default=str)[:60]}")
    return "".join(text for text in texts if text)


def _part(part: object) -> str | None:
    if isinstance(part, dict) and part.get("type", "text") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    return None


def _calls(value: object) -> list[JsonObject]:
    """Return the calls of functions of a turn; arguments that are JSON text become what they say."""
    listed = value if isinstance(value, list) else [] if value is None else [value]
    calls: list[JsonObject] = []
    for call in listed:
        function = call.get("function", call) if isinstance(call, dict) else None
        function = function if isinstance(function, dict) else call
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise UnfitConversationError(NOT_TEXT, f"a call of a function without a name: {json.dumps(call)[:60]}")
        arguments = _parsed(function.get("arguments"))
        about = {"id": call["id"]} if isinstance(call, dict) and isinstance(call.get("id"), str) else {}
        named = {"name": function["name"], "arguments": _without_nulls({} if arguments is None else arguments)}
        calls.append({"type": "function", "function": named} | about)
    return calls


def _parsed(value: object) -> object:
    """Return what a JSON text of an object or a list says; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, dict | list) else value


def _without_nulls(value: object) -> object:
    """Return a value without the null fields that Parquet gives objects of one column in common."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _tools(value: object) -> tuple[JsonObject, ...] | None:
    value = _parsed(value)
    if value is None or value == [] or (isinstance(value, str) and not value.strip()):
        return None
    found = _without_nulls(value)
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise UnfitConversationError(BAD_TOOLS, json.dumps(value, default=str)[:60])
    return tuple(found)


def turn_texts(conversation: Conversation) -> Iterator[str]:
    """Yield what each turn says, as :func:`turn_text`."""
    return map(turn_text, conversation.messages)
