"""A tokenizer as the rooms use it: texts to ids and back, and which ids are special.

Light: is on the ``tokenizers`` package alone, so neither token files nor scoring need transformers.
No special token is ever added here; what is at the ends of inputs and targets is the recipe's choice.
"""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from xmtf.errors import ConfigError, DataError
from xmtf.files import write_json, write_text
from xmtf.json_types import JsonObject
from xmtf.recipe.schema import SpecialTokensPolicy
from xmtf.tokens.tokenizer.composed import composes, count_composed
from xmtf.tokens.tokenizer.ends import own_ends, puts_space, with_ends
from xmtf.tokens.tokenizer.special_texts import AsText, SpecialTexts
from xmtf.tokens.tokenizer.words import WordEncoder, encode_plainly

__all__ = [
    "CHAT_KEY",
    "CONFIG_FILE",
    "KEPT_KEYS",
    "MORE_TEMPLATES",
    "TEMPLATE_FILE",
    "TOKENIZER_FILE",
    "Placed",
    "Tokenizer",
]

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"
MORE_TEMPLATES = "additional_chat_templates"
"""Folder of further chat templates, such as one for tools; also what ``about`` calls them, by name."""
GENERATION_FILE = "generation_config.json"
CHAT_KEY = "xmtf_chat"
"""Key of ``tokenizer_config.json`` that says how a model was trained to be asked."""
KEPT_KEYS = (
    "padding_side",
    "truncation_side",
    "model_max_length",
    "chat_template",
    "unk_token",
    "additional_special_tokens",
    "extra_special_tokens",
    "model_input_names",
    CHAT_KEY,
)
"""What an export's ``tokenizer_config.json`` keeps of that of the tokenizer it was trained with."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The ids of a text, and where each stands.

    Attributes:
        ids: int32 ``[tokens]``.
        places: int64 ``[tokens, 2]``: first character and end.
    """

    ids: npt.NDArray[np.int32]
    places: npt.NDArray[np.int64]


class Tokenizer:
    """Texts to ids and back.

    Args:
        text: Content of a ``tokenizer.json``.
        pad: Id that fills rows up; an encoder-decoder also starts decoding with it.
        eos: Id of the end of a text.
        bos: Id of the beginning of a text, or None.
        label: What messages call it, such as the folder it was read from.
        begin: Ids before a text, where ``text`` itself puts none there: what ``add_bos_token`` or a GGUF file says.
        ends: Further ids that end a text (Llama 3 has three of them).
        about: What else its ``tokenizer_config.json`` says and exports keep, such as ``padding_side``.

    Raises:
        ConfigError: ``text`` is not a tokenizer of the ``tokenizers`` package.
    """

    def __init__(
        self,
        text: str,
        *,
        pad: int,
        eos: int,
        bos: int | None,
        label: str = "tokenizer",
        begin: tuple[int, ...] = (),
        ends: Sequence[int] = (),
        about: Mapping[str, object] | None = None,
    ) -> None:
        try:
            self._core = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # noqa: BLE001 - the package raises plain Exception
            raise ConfigError(
                f"{label}: not a tokenizer.json that this version of `tokenizers` can read ({error})"
            ) from None
        self._core.no_truncation()
        self._core.no_padding()
        self._text = text
        self.pad = pad
        self.eos = eos
        self.bos = bos
        self.label = label
        self.about = dict(about or {})
        self._flagged = begin
        self._more_ends = tuple(ends)
        self._parses = True
        self.special_texts = Counter[str]()
        """Texts encoded so far that look like to hold a special token and were read as text, by token."""
        self.composed_texts = 0
        """Texts encoded so far whose ids may differ from SentencePiece's (:mod:`xmtf.tokens.tokenizer.composed`)."""

    @cached_property
    def vocab_size(self) -> int:
        """Largest id + 1, added tokens included."""
        size = self._core.get_vocab_size(with_added_tokens=True)
        if self._core.id_to_token(size - 1) is None or self._core.id_to_token(size) is not None:
            size = 1 + max(self._core.get_vocab(with_added_tokens=True).values())
        return size

    @cached_property
    def ends(self) -> tuple[int, ...]:
        """Ids that end an answer: ``eos`` first."""
        known = (end for end in self._more_ends if 0 <= end < self.vocab_size)
        return tuple(dict.fromkeys((self.eos, *known)))

    @cached_property
    def special_ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that it puts before and after its own text accord."""
        before, after = own_ends(self._core)
        return before or self._flagged, after

    @property
    def begin(self) -> tuple[int, ...]:
        """Ids that it puts before its own text accord; see :mod:`xmtf.tokens.tokenizer.ends`."""
        return self.special_ends[0]

    @property
    def begin_text(self) -> str:
        """What :attr:`begin` is, for people."""
        return " ".join(f"{self.token(number)} ({number})" for number in self.begin) or "nothing"

    @cached_property
    def puts_space(self) -> bool:
        """Whether it puts a space before a text even where one already exists."""
        return puts_space(lambda text: "".join(self.token(number) for number in self.encode([text])[0]))

    def adding(self, before: tuple[int, ...], *, keep_end: bool) -> Tokenizer:
        """Return this tokenizer with a ``tokenizer.json`` that puts ``before`` before a text.

        Args:
            before: Ids.
            keep_end: What it puts behind a text stays; else nothing is there.

        Raises:
            ConfigError: Its ``tokenizer.json`` cannot be made to do so.
        """
        own = own_ends(self._core)
        after = own[1] if keep_end else ()
        if own == (before, after) and self._flagged in ((), before):
            return self
        text = self._text
        if own != (before, after):
            text = with_ends(text, self._spelt(before), self._spelt(after), self.label)
        options: JsonObject = {"ends": self._more_ends, "about": self.about}
        return Tokenizer(text, pad=self.pad, eos=self.eos, bos=self.bos, label=self.label, **options)

    def _spelt(self, ids: tuple[int, ...]) -> list[tuple[str, int]]:
        return [(self.token(number), number) for number in ids]

    def described(self, about: Mapping[str, object], ends: Sequence[int]) -> Tokenizer:
        """Return this tokenizer with more of its configuration, and more ids that end a text."""
        options: JsonObject = {"ends": (*self._more_ends, *ends), "about": {**self.about, **about}}
        special: JsonObject = {"pad": self.pad, "eos": self.eos, "bos": self.bos, "begin": self._flagged}
        return Tokenizer(self._text, label=self.label, **special, **options)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the bytes of ``tokenizer.json`` and of the special ids."""
        special = f"pad={self.pad} eos={self.eos} bos={self.bos}"
        if self._flagged:
            special += f" begin={self._flagged}"
        if len(self.ends) > 1:
            special += f" ends={self.ends}"
        return hashlib.sha256(self._text.encode() + special.encode()).hexdigest()

    def reading(self, special_tokens: SpecialTokensPolicy) -> Tokenizer:
        """Return this tokenizer as it reads what looks like its special tokens: as text, or as those tokens."""
        other = copy.copy(self)
        other._parses = special_tokens == "parse"
        other.special_texts = Counter()
        other.composed_texts = 0
        return other

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Return the ids of each text, int32, without special tokens."""
        ids, sizes = self.encode_flat(texts)
        return np.split(ids, np.cumsum(sizes)[:-1]) if len(sizes) else []

    def encode_flat(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return the ids of all texts in one array, and how many each text has.

        Returns:
            int32 ``[total]`` and int32 ``[texts]``.
        """
        found = self.encode_found(texts)
        return found.ids, found.sizes

    def encode_found(self, texts: Sequence[str]) -> AsText:
        """Return the ids of all texts, and which of them look like to hold special tokens and were read as text.

        Raises:
            DataError: A text holds half of a character (a lone surrogate), which no tokenizer reads.
        """
        try:
            plain = encode_plainly(self._core, texts) if self._words is None else self._words.encode(texts)
        except (UnicodeEncodeError, TypeError):
            wrong = next((text for text in texts if not _is_whole(text)), None)
            if wrong is None:
                raise
            raise DataError(
                f"{ascii(wrong)[:80]}: contains half a character (an unpaired surrogate); remove it"
            ) from None
        if self._composes:
            self.composed_texts += count_composed(texts)
        if self._parses:
            return AsText(*plain, np.empty(0, np.int64), np.empty(0, np.int32))
        found = self._special.read(texts, plain)
        self.special_texts.update(map(self.token, found.tokens.tolist()))
        return found

    def encode_placed(self, texts: Sequence[str], *, hidden: bool = False) -> list[Placed]:
        """Return the ids of texts whose special tokens are meant, and where in its text each stands.

        Args:
            texts: The texts.
            hidden: Whether special tokens are in them under their :attr:`hidden_names`, and what spells them is text.
        """
        core = self._special.core if hidden else self._core
        return [
            Placed(np.array(found.ids, np.int32), np.array(found.offsets, np.int64).reshape(-1, 2))
            for found in core.encode_batch(list(texts), add_special_tokens=False)
        ]

    @property
    def hidden_names(self) -> Mapping[str, str]:
        """Special token that a text can spell -> what it is called where that is to be text."""
        return self._special.hidden_names

    @property
    def parses(self) -> bool:
        """Whether it takes what looks like a special token in a text for that token."""
        return self._parses

    @cached_property
    def _special(self) -> SpecialTexts:
        ends = (self.pad, *self.ends, *(() if self.bos is None else (self.bos,)))
        return SpecialTexts(self._core, self._text, [end for end in ends if end >= 0])

    @cached_property
    def _composes(self) -> bool:
        return composes(self._text)

    @cached_property
    def _words(self) -> WordEncoder | None:
        return WordEncoder.of(self._core, self._text)

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer], *, keep_special: bool = False) -> str:
        """Return the text of ids; special tokens are left out unless they are asked for."""
        return str(self._core.decode([int(i) for i in ids], skip_special_tokens=not keep_special))

    def token(self, token_id: int) -> str:
        """Return a token as the vocabulary spells it, or ``<id>`` of an id that it does not have."""
        return self._core.id_to_token(int(token_id)) or f"<{int(token_id)}>"

    def find(self, token: str) -> int | None:
        """Return the id of a token as the vocabulary spells it, or None."""
        found = self._core.token_to_id(token)
        return None if found is None else int(found)

    def require_fit(self, vocab_size: int, model: str) -> None:
        """Check that a model has a row for every id.

        Raises:
            ConfigError: The model's vocabulary is smaller than the tokenizer's.
        """
        if self.vocab_size > vocab_size:
            raise ConfigError(
                f"{self.label}: has {self.vocab_size:,} tokens, but {model} has room for {vocab_size:,}; use the "
                f"tokenizer that the model was trained with, or a larger model.vocab_size"
            )

    def save(self, folder: Path) -> None:
        """Write it as a folder that transformers' AutoTokenizer reads.

        That is ``tokenizer.json`` and ``tokenizer_config.json`` with what the tokenizer's own says in
        :data:`KEPT_KEYS`, its chat templates, and, where several ids end a text and nothing says so
        yet, ``generation_config.json``.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = {"eos_token": self.eos, "pad_token": self.pad, "bos_token": self.bos, "unk_token": self.find("<unk>")}
        config: JsonObject = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "padding_side": "left",
            "model_max_length": 1_000_000,
        }
        config.update({name: self.token(value) for name, value in names.items() if value is not None})
        config.update(self.about)
        if isinstance(config.get("chat_template"), str):
            write_text(folder / TEMPLATE_FILE, config.pop("chat_template"))
        more = config.pop(MORE_TEMPLATES, None)
        for name, template in more.items() if isinstance(more, dict) else ():
            write_text(folder / MORE_TEMPLATES / f"{name}.jinja", str(template))
        write_text(folder / TOKENIZER_FILE, self._text)
        write_json(folder / CONFIG_FILE, config)
        if len(self.ends) > 1 and not (folder / GENERATION_FILE).exists():
            write_json(folder / GENERATION_FILE, {"eos_token_id": list(self.ends)})


def _is_whole(text: str) -> bool:
    """Return whether a text has no half of a character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
