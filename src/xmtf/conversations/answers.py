"""A rendered conversation, and the stretches of its text that the assistant says.

Where the template marks them with ``{% generation %}``, they are what it marks. Else each conversation is rendered
up to every answer: what is new in the text with the answer is the answer, and the white space behind its end-of-turn
token is not, since a model that writes that token stops there::

    messages[:1], prompt    <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎
    messages[:2]            <|im_start|>user⏎Hi<|im_end|>⏎<|im_start|>assistant⏎Hello<|im_end|>⏎
    answer                                                                     Hello<|im_end|>

That holds only where the text up to an answer is the beginning of the whole text. A template that leaves out the
reasoning of earlier turns, or merges turns, breaks it: such an answer would be learnt after a text that the model
never sees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from xmtf.conversations.environment import ANSWER, END_ANSWER
from xmtf.conversations.messages import Conversation
from xmtf.conversations.template import ChatTemplate, TemplateRefusesError
from xmtf.errors import TemplateError

__all__ = ["Answered", "PrefixError", "Turns", "answered"]

Turns = Literal["all", "last"]
"""Which answers are learnt."""
Span = tuple[int, int]
_MARKS = re.compile(f"[{ANSWER}{END_ANSWER}]")


class PrefixError(Exception):
    """What is before an answer is not the beginning of the whole text.

    Args:
        turn: Number of the answer's turn, from 1.
    """

    def __init__(self, turn: int) -> None:
        super().__init__(f"turn {turn}")
        self.turn = turn


@dataclass(frozen=True, slots=True)
class Answered:
    """A rendered conversation.

    Attributes:
        text: Its text.
        spans: First character and end of each answer that is learnt, in order.
    """

    text: str
    spans: tuple[Span, ...]


def answered(
    template: ChatTemplate, conversation: Conversation, turns: Turns = "all", special: Sequence[str] = ()
) -> Answered:
    """Render a conversation and find its answers.

    Args:
        template: The template.
        conversation: The conversation.
        turns: Every answer, or the last alone.
        special: Special tokens as they are spelt: what may end a turn.

    Raises:
        PrefixError: The template rewrites what is before an answer.
        TemplateRefusesError: It does not take the conversation, or marks no answer in it.
        TemplateError: As :meth:`ChatTemplate.render`.
    """
    raw = template.render(conversation.messages, conversation.tools)
    if template.marks_answers:
        found = _unmarked(raw, template.label)
        if not found.spans:
            raise TemplateRefusesError("it marks no text of the assistant")
        return found if turns == "all" else Answered(found.text, found.spans[-1:])
    spans = _by_prefixes(template, conversation, raw, turns)
    return Answered(raw, tuple(_ended(raw, span, special) for span in spans))


def _unmarked(raw: str, label: str) -> Answered:
    """Take the marks out of a text.

    Raises:
        TemplateError: They are not in pairs.
    """
    parts, spans, begin, length = list[str](), list[Span](), None, 0
    before = 0
    for mark in _MARKS.finditer(raw):
        parts.append(raw[before : mark.start()])
        length += len(parts[-1])
        before = mark.end()
        if (mark.group() == ANSWER) is not (begin is None):
            raise TemplateError(f"{label}: generation blocks are nested, or one lacks its beginning or end")
        if begin is None:
            begin = length
        else:
            spans += [(begin, length)] if length > begin else []
            begin = None
    if begin is not None:
        raise TemplateError(f"{label}: a generation block lacks its end")
    return Answered("".join([*parts, raw[before:]]), tuple(spans))


def _by_prefixes(template: ChatTemplate, conversation: Conversation, text: str, turns: Turns) -> list[Span]:
    messages, tools, spans = conversation.messages, conversation.tools, list[Span]()
    places = conversation.answers if turns == "all" else conversation.answers[-1:]
    for place in places:
        before = template.render(messages[:place], tools, generation_prompt=True)
        if turns == "last" and not text.startswith(before):
            before = template.render(messages[:place], tools)
        is_last = place == len(messages) - 1
        after = text if is_last else template.render(messages[: place + 1], tools)
        if not (text.startswith(before) and text.startswith(after) and len(before) < len(after)):
            raise PrefixError(place + 1)
        spans.append((len(before), len(after)))
    return spans


def _ended(text: str, span: Span, special: Sequence[str]) -> Span:
    """Leave out the white space behind an end-of-turn token."""
    said = text[span[0] : span[1]].rstrip()
    return (span[0], span[0] + len(said)) if said.endswith(tuple(special)) else span
