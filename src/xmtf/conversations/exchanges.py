"""A conversation without its oldest exchanges, where it is too long for a row.

An exchange is a turn of the user and what follows it, up to the user's next turn. The system text stays::

    system | user assistant | user assistant tool assistant | user assistant
    system |                | user assistant tool assistant | user assistant
    system |                |                               | user assistant
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xmtf.conversations.messages import Conversation

__all__ = ["shortened"]


def shortened(conversation: Conversation) -> Iterator[Conversation]:
    """Yield the conversation without its oldest exchange, without its two oldest, and so on; the last one stays."""
    turns = conversation.messages
    first = next((place for place, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    starts = [place for place in range(first + 1, len(turns)) if turns[place]["role"] == "user"]
    for start in starts:
        rest = turns[start:]
        if any(turn["role"] == "assistant" for turn in rest):
            yield replace(conversation, messages=(*turns[:first], *rest))
