"""Conversations as a model's tokenizer and chat template write them: ids, and which of them are learnt.

The ids are those of transformers' ``apply_chat_template``, special tokens that people spell excepted; nothing is
added at their ends, so that a begin of text which the template writes is never doubled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from xmtf.conversations.answers import Answered, PrefixError, Turns, answered
from xmtf.conversations.exchanges import shortened
from xmtf.conversations.messages import Conversation
from xmtf.conversations.template import ChatTemplate, TemplateRefusesError
from xmtf.errors import ConfigError
from xmtf.tokens.tokenizer.rendered import MARKS, encode_rendered, mark_special_texts, turns_of
from xmtf.tokens.tokenizer.tokenizer import CHAT_KEY, Tokenizer

__all__ = ["TOO_LONG", "ChatFormat", "ChatItem", "chat_format", "template_in", "template_of"]

TOO_LONG = "conversation does not fit a row"
"""Reason of conversations whose last exchange alone is too long."""
ODD_CHARACTERS = "holds a character that is none (U+FDD2 to U+FDD4)"
_SPECIAL = ("bos", "eos", "pad")


@dataclass(frozen=True, slots=True)
class ChatItem:
    """A conversation as tokens.

    Attributes:
        ids: int32 ``[tokens]``.
        turns: uint8 ``[tokens]``: 0, or 1 and 2 in turn on the tokens of each answer that is learnt.
        shortened: Whether it lost its oldest exchanges.
        special: Special tokens that people spell in it, which were read as text.
    """

    ids: npt.NDArray[np.int32]
    turns: npt.NDArray[np.uint8]
    shortened: bool = False
    special: tuple[str, ...] = ()

    @property
    def first(self) -> int:
        """Place of the first token that is learnt; the first of all is never predicted."""
        return max(1, int(np.argmax(self.turns > 0)))


@dataclass(frozen=True)
class ChatFormat:
    """How conversations become tokens.

    Attributes:
        tokenizer: The tokenizer.
        template: Its template.
        turns: Which answers are learnt.
        begin: Ids before a conversation that does not begin with them.
    """

    tokenizer: Tokenizer
    template: ChatTemplate
    turns: Turns = "all"
    begin: tuple[int, ...] = ()

    @cached_property
    def special(self) -> tuple[str, ...]:
        """Special tokens as they are spelt."""
        return tuple(self.tokenizer.hidden_names)

    @cached_property
    def end_of_turn(self) -> int | None:
        """Id of the special token that ends an answer, or None where the template ends it without one."""
        try:
            item = self.encode([Conversation.asked("a", "b")])[0]
        except PrefixError:
            return None
        if isinstance(item, str):
            return None
        last = int(item.ids[np.flatnonzero(item.turns)[-1]])
        return last if self.tokenizer.token(last) in self.special else None

    def encode(self, conversations: Sequence[Conversation]) -> list[ChatItem | str]:
        """Return the tokens of conversations, or why one has none.

        Raises:
            PrefixError: The template rewrites what is before an answer.
            TemplateError: As :func:`answered`.
        """
        found: list[ChatItem | str] = [ODD_CHARACTERS] * len(conversations)
        rendered: list[tuple[int, Answered, tuple[str, ...]]] = []
        for place, conversation in enumerate(conversations):
            if any(mark in text for text in _texts(conversation) for mark in MARKS):
                continue
            marked, special = mark_special_texts(conversation, self.tokenizer)
            try:
                rendered.append((place, answered(self.template, marked, self.turns, self.special), special))
            except TemplateRefusesError as error:
                found[place] = f"the chat template refuses it: {error}"
        encoded = encode_rendered(self.tokenizer, [each for _, each, _ in rendered])
        for (place, _, special), (placed, laid) in zip(rendered, encoded, strict=True):
            turns = turns_of(placed, laid)
            if not turns.any():
                found[place] = "empty targets"
                continue
            ids, more = self._begun(placed.ids)
            found[place] = ChatItem(ids, np.concatenate([np.zeros(more, np.uint8), turns]), special=special)
        return found

    def fit(self, conversation: Conversation, item: ChatItem, fits: Callable[[ChatItem], bool]) -> ChatItem | str:
        """Return a conversation that fits, without its oldest exchanges where it would not, or why it does not."""
        if fits(item):
            return item
        for shorter in shortened(conversation):
            (found,) = self.encode([shorter])
            if not isinstance(found, str) and fits(found):
                return ChatItem(found.ids, found.turns, True, found.special)
        return TOO_LONG

    def prompt(self, conversation: Conversation) -> tuple[int, ...]:
        """Return what a model reads before it answers.

        Raises:
            ConfigError: The template does not take the conversation.
        """
        marked, _ = mark_special_texts(conversation, self.tokenizer)
        try:
            text = self.template.render(marked.messages, marked.tools, generation_prompt=True)
        except TemplateRefusesError as error:
            raise ConfigError(
                f"{self.template.label} rejects the prompt: {error}; prompt without it (chat: off)"
            ) from None
        for mark in MARKS[:2]:
            text = text.replace(mark, "")
        ((placed, _),) = encode_rendered(self.tokenizer, [Answered(text, ())])
        return tuple(self._begun(placed.ids)[0].tolist())

    def _begun(self, ids: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], int]:
        """Put the begin of text before ids that do not bring it along; return how many ids were put there."""
        if not self.begin or tuple(ids[: len(self.begin)].tolist()) == self.begin:
            return ids, 0
        return np.concatenate([np.array(self.begin, np.int32), ids]), len(self.begin)


def _texts(conversation: Conversation) -> list[str]:
    return [str(value) for turn in conversation.messages for value in turn.values()]


def template_of(tokenizer: Tokenizer) -> str | None:
    """Return the chat template that comes with a tokenizer, or None."""
    return template_in(tokenizer.about)


def template_in(about: Mapping[str, object]) -> str | None:
    """Return the chat template that a tokenizer's configuration holds, or None."""
    found = about.get("chat_template")
    if isinstance(found, list):  # older configurations name several
        named = {each.get("name"): each.get("template") for each in found if isinstance(each, dict)}
        found = named.get("default")
    return found if isinstance(found, str) and found.strip() else None


def chat_format(
    tokenizer: Tokenizer,
    *,
    source: str | None = None,
    arguments: Mapping[str, object] | None = None,
    turns: Turns = "all",
    begin: tuple[int, ...] = (),
) -> ChatFormat:
    """Return how a tokenizer writes conversations.

    Args:
        tokenizer: The tokenizer.
        source: Its chat template, where it is not the one that comes with it.
        arguments: Further variables of the template; those that it was trained with by default.
        turns: Which answers are learnt.
        begin: Ids before a conversation that does not begin with them.

    Raises:
        ConfigError: There is no template.
        TemplateError: The template does not parse.
    """
    source = source or template_of(tokenizer)
    if source is None:
        raise ConfigError(
            f"{tokenizer.label}: has no chat template; give one (tokens.chat_template: a Jinja file), or set "
            "tokens.chat to off"
        )
    if arguments is None:
        recorded = tokenizer.about.get(CHAT_KEY)
        arguments = recorded.get("arguments", {}) if isinstance(recorded, dict) else {}
    numbers = {"bos": tokenizer.bos, "eos": tokenizer.eos, "pad": tokenizer.pad}
    special = {
        f"{kind}_token": tokenizer.token(number)
        for kind in _SPECIAL
        if (number := numbers[kind]) is not None and number >= 0
    }
    if isinstance(unknown := tokenizer.about.get("unk_token"), str):
        special["unk_token"] = unknown
    template = ChatTemplate(source, f"chat template of {tokenizer.label}", special, arguments)
    return ChatFormat(tokenizer, template, turns, begin)
