"""The ids of rendered conversations: the special tokens of the template are meant, those in what people say are text.

Where a turn spells a special token (``<|im_end|>`` in a question about chat templates), it gets a mark before the
template sees it. In the rendered text the marked ones are text, and the others are put under the names that they have
in a tokenizer which takes nothing else for them::

    content     <|im_end|>          ->  <·|im_end|>                              · is the mark
    rendered    <|im_start|>user⏎<·|im_end|><|im_end|>
    encoded     [im_start] user⏎ <|im_end|> [im_end]                             one special token, not two
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xmtf.conversations.answers import Answered
from xmtf.conversations.environment import ANSWER, END_ANSWER
from xmtf.conversations.messages import Conversation
from xmtf.json_types import JsonObject
from xmtf.tokens.tokenizer.tokenizer import Placed, Tokenizer

__all__ = ["MARKS", "encode_rendered", "mark_special_texts", "turns_of"]

_MARK = "\ufdd4"
MARKS = (ANSWER, END_ANSWER, _MARK)
"""Characters that stand for something in rendered text; what people say does not hold them."""


@lru_cache(maxsize=8)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)))


def mark_special_texts(conversation: Conversation, tokenizer: Tokenizer) -> tuple[Conversation, tuple[str, ...]]:
    """Return a conversation with marks in what looks like special tokens, and these tokens, each once.

    A tokenizer that parses them changes nothing.
    """
    names = tuple(tokenizer.hidden_names)
    if tokenizer.parses or not names:
        return conversation, ()
    pattern, found = _pattern(names), dict[str, None]()

    def marked(value: object) -> object:
        if isinstance(value, str):
            if not pattern.search(value):
                return value
            found.update(dict.fromkeys(pattern.findall(value)))
            return pattern.sub(lambda hit: f"{hit[0][:1]}{_MARK}{hit[0][1:]}", value)
        if isinstance(value, dict):
            return {key: marked(each) for key, each in value.items()}
        return [marked(each) for each in value] if isinstance(value, list) else value

    messages: list[JsonObject] = [
        {key: each if key == "role" else marked(each) for key, each in turn.items()} for turn in conversation.messages
    ]
    return (replace(conversation, messages=tuple(messages)), tuple(found)) if found else (conversation, ())


def encode_rendered(tokenizer: Tokenizer, texts: Sequence[Answered]) -> list[tuple[Placed, Answered]]:
    """Return the ids of rendered texts, each with the text and the spans that its places refer to."""
    plain = [_MARK not in each.text for each in texts]
    laid = [each if is_plain else _hidden(each, tokenizer) for each, is_plain in zip(texts, plain, strict=True)]
    found: dict[int, Placed] = {}
    for wanted in (True, False):
        places = [place for place, is_plain in enumerate(plain) if is_plain is wanted]
        if places:
            encoded = tokenizer.encode_placed([laid[place].text for place in places], hidden=not wanted)
            found.update(zip(places, encoded, strict=True))
    return [(found[place], each) for place, each in enumerate(laid)]


def _hidden(rendered: Answered, tokenizer: Tokenizer) -> Answered:
    """Put the special tokens that are meant under their hidden names, and take the marks out of the others."""
    names = tokenizer.hidden_names
    pattern = _pattern((*names, _MARK))
    parts, before, shift = list[str](), 0, 0
    moved: list[tuple[int, int]] = []  # from which character of the old text on places move by how much
    for hit in pattern.finditer(rendered.text):
        instead = names.get(hit[0], "")
        parts += [rendered.text[before : hit.start()], instead]
        before = hit.end()
        shift += len(instead) - len(hit[0])
        moved.append((hit.end(), shift))
    starts = np.array([0, *(place for place, _ in moved)])
    shifts = np.array([0, *(by for _, by in moved)])

    def new(place: int) -> int:
        return place + int(shifts[np.searchsorted(starts, place, side="right") - 1])

    return Answered(
        "".join([*parts, rendered.text[before:]]), tuple((new(begin), new(end)) for begin, end in rendered.spans)
    )


def turns_of(placed: Placed, rendered: Answered) -> npt.NDArray[np.uint8]:
    """Return for each token 0, or of a token of an answer 1 and 2 in turn, so that neighbours differ.

    ::

        text     <user> Hi <end> <assistant> Hello <end> <user> ...
        spans                                ^^^^^^^^^^^
        turns    0      0  0     0           1     1     0
    """
    turns = np.zeros(len(placed.ids), np.uint8)
    begins, ends = placed.places[:, 0], placed.places[:, 1]
    for number, (begin, end) in enumerate(rendered.spans):
        turns[(begins < end) & (ends > begin)] = 1 + number % 2
    return turns
