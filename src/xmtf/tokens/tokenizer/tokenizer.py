"""A tokenizer as the rooms use it: texts to ids and back, and which ids are special.

Light: stands on the ``tokenizers`` package alone, so neither token files nor scoring need transformers.
No special token is ever added here; what stands at the ends of inputs and targets is the recipe's choice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from xmtf.errors import ConfigError
from xmtf.files import write_json, write_text
from xmtf.tokens.tokenizer.words import WordEncoder, encode_plainly

__all__ = ["CONFIG_FILE", "TOKENIZER_FILE", "Tokenizer"]

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"


class Tokenizer:
    """Texts to ids and back.

    Args:
        text: Content of a ``tokenizer.json``.
        pad: Id that fills rows up; an encoder-decoder also starts decoding with it.
        eos: Id of the end of a text.
        bos: Id of the beginning of a text, or None.
        label: What messages call it, such as the folder it was read from.

    Raises:
        ConfigError: ``text`` is not a tokenizer of the ``tokenizers`` package.
    """

    def __init__(self, text: str, *, pad: int, eos: int, bos: int | None, label: str = "tokenizer") -> None:
        try:
            self._core = tokenizers.Tokenizer.from_str(text)
        except Exception as error:  # noqa: BLE001 - the package raises plain Exception
            raise ConfigError(
                f"{label}: not a tokenizer.json that this version of `tokenizers` reads ({error})"
            ) from None
        self._core.no_truncation()
        self._core.no_padding()
        self._text = text
        self.pad = pad
        self.eos = eos
        self.bos = bos
        self.label = label

    @cached_property
    def vocab_size(self) -> int:
        """Largest id + 1, added tokens included."""
        size = self._core.get_vocab_size(with_added_tokens=True)
        if self._core.id_to_token(size - 1) is None or self._core.id_to_token(size) is not None:
            size = 1 + max(self._core.get_vocab(with_added_tokens=True).values())
        return size

    @cached_property
    def special_ends(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Ids that ``tokenizer.json`` puts before and after a text; only scoring as other harnesses asks for them."""
        plain = self._core.encode("a", add_special_tokens=False).ids
        whole = self._core.encode("a", add_special_tokens=True).ids
        before = next((place for place in range(len(whole)) if whole[place:][: len(plain)] == plain), 0)
        return tuple(whole[:before]), tuple(whole[before + len(plain) :])

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the bytes of ``tokenizer.json`` and of the special ids."""
        special = f"pad={self.pad} eos={self.eos} bos={self.bos}"
        return hashlib.sha256(self._text.encode() + special.encode()).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int32]]:
        """Return the ids of each text, int32, without special tokens."""
        ids, sizes = self.encode_flat(texts)
        return np.split(ids, np.cumsum(sizes)[:-1]) if len(sizes) else []

    def encode_flat(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return the ids of all texts in one array, and how many each text has.

        Returns:
            int32 ``[total]`` and int32 ``[texts]``.
        """
        return encode_plainly(self._core, texts) if self._words is None else self._words.encode(texts)

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
                f"{self.label}: has {self.vocab_size:,} tokens, but {model} has room for {vocab_size:,}; "
                "take the tokenizer that the model was trained with, or a larger model.vocab_size"
            )

    def save(self, folder: Path) -> None:
        """Write ``tokenizer.json`` and the ``tokenizer_config.json`` that transformers' AutoTokenizer reads."""
        folder.mkdir(parents=True, exist_ok=True)
        names = {"eos_token": self.eos, "pad_token": self.pad, "bos_token": self.bos, "unk_token": self.find("<unk>")}
        config: dict[str, object] = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "padding_side": "left",
            "model_max_length": 1_000_000,
        }
        config.update({name: self.token(value) for name, value in names.items() if value is not None})
        write_text(folder / TOKENIZER_FILE, self._text)
        write_json(folder / CONFIG_FILE, config)
