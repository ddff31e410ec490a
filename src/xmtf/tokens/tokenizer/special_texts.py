r"""Text that only looks like special tokens, read as the characters that it is.

A tokenizer takes ``</s>`` in a text for its end-of-text token, wherever it stands. In data it is text: HTML, a page on
tokenizers, a transcript. The ids of such a text are those of the same tokenizer without these tokens::

    "It says </s> twice."   parse  1375 16984 2 23226 17        id 2 is the end of a text
                            text   1375 16984 1777 86 33 23226 17

Texts are encoded as ever; only those whose ids hold a special one are encoded again, so nothing else gets slower.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tokenizers

from xmtf.json_types import JsonObject
from xmtf.tokens.tokenizer.words import Flat, encode_plainly

__all__ = ["AsText", "SpecialTexts", "special_line", "without_special_tokens"]

_HIDDEN = "\U0010fffd xmtf hides special token {number} \U0010fffd"
"""What a special token is called where no text may spell it; byte-level and SentencePiece's alphabets have no space."""


@dataclass(frozen=True, slots=True)
class AsText:
    """Ids of texts, and where special tokens were spelt out in them.

    Attributes:
        ids: int32 ``[total]``.
        sizes: int32 ``[texts]``.
        places: int64 ``[found]``, numbers of texts.
        tokens: int32 ``[found]``, ids of the special tokens that each of them looks like to hold.
    """

    ids: npt.NDArray[np.int32]
    sizes: npt.NDArray[np.int32]
    places: npt.NDArray[np.int64]
    tokens: npt.NDArray[np.int32]


class SpecialTexts:
    """Encodes texts again in which special tokens were found.

    Args:
        core: The tokenizer.
        text: Content of its ``tokenizer.json``.
        ends: Ids that are special whatever the file says of them: of the ends of texts, and padding.
    """

    def __init__(self, core: tokenizers.Tokenizer, text: str, ends: Iterable[int]) -> None:
        self._text = text
        added = core.get_added_tokens_decoder()
        self._added = {token.content for token in added.values()}
        numbers = {number for number, token in added.items() if token.special} | set(ends)
        self._names = {
            number: added[number].content if number in added else core.id_to_token(number) for number in numbers
        }
        size = 1 + max([*numbers, core.get_vocab_size(with_added_tokens=True), *added])
        self._is_special = np.zeros(size, dtype=bool)
        self._is_special[sorted(numbers)] = True
        self._unknown = _unknown(json.loads(text)["model"], core)

    @cached_property
    def hidden_names(self) -> dict[str, str]:
        """Special token that a text can spell -> what it is called in :attr:`core`."""
        names = self._spelt
        return {name: _HIDDEN.format(number=number) for number, name in enumerate(names) if name in self._added}

    @property
    def _spelt(self) -> list[str]:
        return [name for name in self._names.values() if name is not None]

    @cached_property
    def core(self) -> tokenizers.Tokenizer:
        """The tokenizer with its special tokens under names that no text spells."""
        names = self._spelt
        core = tokenizers.Tokenizer.from_str(without_special_tokens(self._text, names))
        core.no_truncation()
        core.no_padding()
        return core

    def read(self, texts: Sequence[str], found: Flat) -> AsText:
        """Return the ids of texts, with those encoded again that hold special tokens.

        Args:
            texts: The texts.
            found: Their ids and sizes, with special tokens.
        """
        ids, sizes = found
        places, tokens = self._found(texts, ids, sizes)
        if not len(places):
            return AsText(ids, sizes, places, tokens)
        again = np.unique(places)
        new = dict(zip(again.tolist(), _split(encode_plainly(self.core, [texts[n] for n in again])), strict=True))
        parts = [new.get(number, part) for number, part in enumerate(_split(found))]
        return AsText(np.concatenate(parts), np.array([len(part) for part in parts], np.int32), places, tokens)

    def _found(
        self, texts: Sequence[str], ids: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return which texts hold which special tokens, each pair once; unknown characters are none."""
        hits = np.flatnonzero(self._is_special[ids])
        if not len(hits):
            return np.empty(0, np.int64), np.empty(0, np.int32)
        owners = np.searchsorted(np.cumsum(sizes, dtype=np.int64), hits, side="right")
        pairs = np.unique(np.stack([owners, ids[hits].astype(np.int64)], axis=1), axis=0)
        name = None if self._unknown is None else self._names.get(self._unknown)
        if name is not None:
            spelt = [token != self._unknown or name in texts[owner] for owner, token in pairs.tolist()]
            pairs = pairs[np.array(spelt, dtype=bool)]
        return pairs[:, 0], pairs[:, 1].astype(np.int32)


def _split(found: Flat) -> list[npt.NDArray[np.int32]]:
    ids, sizes = found
    return np.split(ids, np.cumsum(sizes)[:-1]) if len(sizes) else []


def _unknown(model: JsonObject, core: tokenizers.Tokenizer) -> int | None:
    """Return the id of unknown characters, which texts have without spelling it."""
    number = model.get("unk_id")
    if isinstance(number, int):
        return number
    name = model.get("unk_token")
    return core.token_to_id(name) if isinstance(name, str) else None


def special_line(counts: Mapping[str, int]) -> str:
    """Describe how often texts seemed to contain special tokens.

    >>> special_line({"</s>": 2, "<pad>": 1})
    'read as text, not as special tokens (tokens.special_tokens): </s> in 2 texts, <pad> in 1'
    """
    first, *others = [f"{name} in {count:,}" for name, count in counts.items()]
    listed = ", ".join([f"{first} texts", *others])
    return f"read as text, not as special tokens (tokens.special_tokens): {listed}"


def without_special_tokens(text: str, names: Sequence[str]) -> str:
    """Return a ``tokenizer.json`` in which no text spells one of these tokens; all ids stay.

    Args:
        text: The file's content.
        names: The tokens as they are spelt.
    """
    content: JsonObject = json.loads(text)
    hidden = {name: _HIDDEN.format(number=number) for number, name in enumerate(names)}
    for token in content.get("added_tokens") or []:
        token["content"] = hidden.get(token["content"], token["content"])
    model = content["model"]
    if isinstance(model.get("vocab"), dict):
        model["vocab"] = {hidden.get(name, name): number for name, number in model["vocab"].items()}
    else:
        model["vocab"] = [[hidden.get(name, name), score] for name, score in model["vocab"]]
    if model.get("merges"):
        model["merges"] = [merge for merge in model["merges"] if not _makes(merge, hidden)]
    if model.get("unk_token") in hidden:
        model["unk_token"] = hidden[model["unk_token"]]
    content["post_processor"] = content["truncation"] = content["padding"] = None
    return json.dumps(content, ensure_ascii=False)


def _makes(merge: str | Sequence[str], names: JsonObject) -> bool:
    """Return whether a merge makes one of these tokens, or is made of one."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left in names or right in names or left + right in names
