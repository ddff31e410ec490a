"""What a tokenizer puts around its own text accord: read from its ``tokenizer.json``, and written into it.

Most tokenizers put nothing there (BLOOM, GPT-2, Qwen), T5's and mT5's an end of text behind it, Gemma's and Llama's a
begin of text before it, XGLM's and OPT's an end of text before it. A model knows a prompt as its tokenizer gave it in
pretraining, so that is what is before inputs unless a recipe needs otherwise::

    Gemma   "Hello world"   ->  2 | 9259 1902        begin of inputs: (2,)
    BLOOM   "Hello world"   ->  59414 8876           begin of inputs: ()
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

import tokenizers

from xmtf.errors import ConfigError
from xmtf.json_types import JsonObject
from xmtf.recipe.schema import Tokenization

__all__ = ["begin_of_inputs", "own_ends", "puts_space", "with_ends"]

Ids = tuple[int, ...]

_PROBES = ("a", "1", ".", "的", "я", "ا")
_OFFSETS_ALONE = "ByteLevel"
"""A post-processor that moves offsets and adds nothing."""


class _Ended(Protocol):
    @property
    def begin(self) -> Ids:
        """Ids that it puts before its own text accord."""

    @property
    def bos(self) -> int | None:
        """Id that begins a text, or None."""


def begin_of_inputs(tokens: Tokenization, tokenizer: _Ended) -> Ids:
    """Return the ids that are before inputs, in training and whenever the model is asked.

    Args:
        tokens: ``begin_of_inputs``: ``auto`` takes what the tokenizer puts before a text.
        tokenizer: Of the model.

    Raises:
        ConfigError: A begin-of-text token is wanted that the tokenizer does not have.
    """
    if tokens.begin_of_inputs == "auto":
        return tokenizer.begin
    if not tokens.begin_of_inputs:
        return ()
    if tokenizer.bos is None:
        label = getattr(tokenizer, "label", "the tokenizer")
        raise ConfigError(f"tokens.begin_of_inputs: {label} has no begin-of-text token; set it to auto or false")
    return (tokenizer.bos,)


def own_ends(core: tokenizers.Tokenizer) -> tuple[Ids, Ids]:
    """Return the ids that the post-processor of a tokenizer puts before and after a text."""
    for probe in _PROBES:
        plain = core.encode(probe, add_special_tokens=False).ids
        whole = core.encode(probe, add_special_tokens=True).ids
        if plain:
            starts = range(len(whole) - len(plain) + 1)
            before = next((start for start in starts if whole[start : start + len(plain)] == plain), 0)
            return tuple(whole[:before]), tuple(whole[before + len(plain) :])
    return (), ()


def puts_space(encode: Callable[[str], str]) -> bool:
    """Return whether a tokenizer puts a space before a text even where one already exists.

    Args:
        encode: The tokens of a text as the vocabulary spells them, joined.

    With a normalizer of SentencePiece::

        "a"  ->  ▁a      " a"  ->  ▁▁a        yes: the space before an answer is the tokenizer's own
        "a"  ->  a       " a"  ->  ▁a         no
    """

    def spaces(text: str) -> int:
        tokens = encode(text)
        return len(tokens) - len(tokens.lstrip("▁Ġ "))

    return any(spaces(probe) and spaces(f" {probe}") > spaces(probe) for probe in _PROBES[:3])


def with_ends(text: str, before: list[tuple[str, int]], after: list[tuple[str, int]], label: str) -> str:
    """Return a ``tokenizer.json`` whose post-processor puts these tokens around a text, and no others.

    Args:
        text: The file's content.
        before: Token and id of each that is before a text.
        after: Those behind it.
        label: What errors call the tokenizer.

    Raises:
        ConfigError: The tokenizer still adds something else.
    """
    content: JsonObject = json.loads(text)
    old = content.get("post_processor") or {}
    parts = old.get("processors", []) if old.get("type") == "Sequence" else [old]
    kept = [part for part in parts if part.get("type") == _OFFSETS_ALONE]
    if before or after:
        kept.append(_template(before, after))
    content["post_processor"] = {"type": "Sequence", "processors": kept} if len(kept) > 1 else (kept or [None])[0]
    changed = json.dumps(content, ensure_ascii=False)
    found = own_ends(tokenizers.Tokenizer.from_str(changed))
    if found != (tuple(number for _, number in before), tuple(number for _, number in after)):
        raise ConfigError(f"{label}: its tokenizer.json cannot be changed to add {before} and {after} to single texts")
    return changed


def _template(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> JsonObject:
    def around(sequence: str, type_id: int) -> list[JsonObject]:
        def special(token: str) -> JsonObject:
            return {"SpecialToken": {"id": token, "type_id": type_id}}

        middle = {"Sequence": {"id": sequence, "type_id": type_id}}
        return [*(special(token) for token, _ in before), middle, *(special(token) for token, _ in after)]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": around("A", 0) + around("B", 1),
        "special_tokens": {
            token: {"id": token, "ids": [number], "tokens": [token]} for token, number in (*before, *after)
        },
    }
