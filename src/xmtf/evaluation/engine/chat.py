"""Whether a model is asked in its chat format, and how that is written.

A prompt is the user's turn, and the answer the assistant's; a choice that is ranked is there without the end of its
turn. ``auto`` is what the model's export records of its training; of other models, whether they have a chat template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from xmtf.conversations.messages import Conversation
from xmtf.errors import ConfigError
from xmtf.files import content_hash
from xmtf.models.files.references import find_small_files, parse_reference
from xmtf.tokens.tokenizer.chat import ChatFormat, chat_format, template_in
from xmtf.tokens.tokenizer.loading import chat_about
from xmtf.tokens.tokenizer.tokenizer import CHAT_KEY, Tokenizer

__all__ = ["ChatForm", "ChatWish", "Wanted", "chat_of_model", "choose_chat", "cut_to_fit", "format_of"]

Wanted = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class ChatForm:
    """The chat format of a model, as plain values.

    Attributes:
        template: Source of its chat template.
        arguments: Further variables of the template.
    """

    template: str
    arguments: dict[str, object]

    @property
    def fingerprint(self) -> str:
        """Hash of what decides how prompts are written."""
        return content_hash([self.template, self.arguments])


@dataclass(frozen=True, slots=True)
class ChatWish:
    """What is asked for.

    Attributes:
        wanted: ``auto``, ``on`` or ``off``.
        trained: Whether the recipe available trains the model in its chat format; None where there is no recipe.
        template: Source of the template, where it is not the tokenizer's own.
        arguments: Variables of the template, where they are not those of the training.
    """

    wanted: Wanted = "auto"
    trained: bool | None = None
    template: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)


def choose_chat(wish: ChatWish, about: Mapping[str, object], label: str) -> tuple[ChatForm | None, str | None]:
    """Return the chat format that a model is asked in, or None, and what to say of it.

    Args:
        wish: What is asked for.
        about: What the tokenizer's configuration says: its template, and how it was trained.
        label: What messages call the model.

    Raises:
        ConfigError: The chat format is asked for, and there is no template.
    """
    template = wish.template or template_in(about)
    found = about.get(CHAT_KEY)
    record: Mapping[str, object] = found if isinstance(found, dict) else {}
    if template is None:
        if wish.wanted == "on":
            raise ConfigError(f"chat: on: {label} has no chat template; prompt it without (--chat off)")
        return None, None
    recorded = wish.trained if wish.trained is not None else record.get("chat")
    asked = wish.wanted == "on" or (wish.wanted == "auto" and (recorded is None or bool(recorded)))
    why = "" if wish.wanted != "auto" or recorded is None else ", as it was trained"
    if not asked:
        return None, f"{label} is prompted without its chat template{why}" if wish.wanted == "auto" else None
    told = record.get("arguments")
    arguments = dict(wish.arguments) or (dict(told) if isinstance(told, dict) else {})
    more = "" if wish.wanted == "on" else " (--chat off prompts without it)"
    return ChatForm(template, arguments), f"{label} is prompted in its chat format{why}{more}"


def chat_of_model(ref: str, *, offline: bool = False) -> dict[str, object]:
    """Return what the tokenizer's configuration of a model says of its chat format, without loading either.

    Args:
        ref: Folder, GGUF file, ``package:NAME`` or hub id.
        offline: Never touch the network.
    """
    reference = parse_reference(ref)
    path = reference.path or find_small_files(ref, offline=offline)
    return chat_about(path)


def format_of(form: ChatForm, tokenizer: Tokenizer, begin: tuple[int, ...] = ()) -> ChatFormat:
    """Return how a tokenizer writes a chat format."""
    return chat_format(tokenizer, source=form.template, arguments=form.arguments, begin=begin)


def cut_to_fit(
    format_: ChatFormat, text: str, most: int, side: Literal["left", "right"]
) -> tuple[tuple[int, ...], bool, bool]:
    """Return the ids of a prompt of at most ``most`` ids, whether its text was cut, and whether any of it fits.

    The text loses its beginning or its end; what the template writes around it stays.
    """
    ids = format_.prompt(Conversation.asked(text))
    if len(ids) <= most:
        return ids, False, True
    tokens = format_.tokenizer.encode([text])[0]
    kept = len(tokens) - (len(ids) - most)
    while kept > 0:
        part = tokens[-kept:] if side == "left" else tokens[:kept]
        ids = format_.prompt(Conversation.asked(format_.tokenizer.decode(part.tolist(), keep_special=True)))
        if len(ids) <= most:
            return ids, True, True
        kept -= max(1, len(ids) - most)
    return (), True, False
