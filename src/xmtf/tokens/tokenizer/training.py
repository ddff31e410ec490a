"""Train a byte-level BPE on a mixture, with BLOOM's pre-tokenisation.

Bytes are the alphabet, so every text of every script has ids, also of languages held out of the
mixture. The same texts give the same tokenizer, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from xmtf.errors import ConfigError
from xmtf.records import Family
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.words import BLOOM_WORDS

__all__ = ["SPECIAL", "train_tokenizer"]

SPECIAL: dict[Family, tuple[str, ...]] = {
    "causal": ("<unk>", "<s>", "</s>", "<pad>"),
    "encoder-decoder": ("<pad>", "</s>", "<unk>"),
}
"""Special tokens in the order of their ids: as BLOOM's, and as mT5's."""


def train_tokenizer(batches: Iterable[Sequence[str]], vocab_size: int, family: Family) -> Tokenizer:
    """Train a tokenizer.

    Args:
        batches: Texts, some at a time.
        vocab_size: Tokens, special ones and the 256 bytes included; fewer come out of few texts.
        family: Whose special tokens it gets.

    Raises:
        ConfigError: ``vocab_size`` leaves no room besides bytes and special tokens.
    """
    special = SPECIAL[family]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size <= len(special) + len(alphabet):
        raise ConfigError(
            f"tokens.tokenizer.train_vocab_size: {vocab_size} leaves no room besides 256 bytes; use 300 or more"
        )
    core = tokenizers.Tokenizer(models.BPE())
    split = pre_tokenizers.Split(tokenizers.Regex(BLOOM_WORDS), behavior="isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    core.decoder = decoders.ByteLevel()
    core.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(_lists(batches), trainer=trainer)
    ids = {name: number for number, name in enumerate(special)}
    return Tokenizer(
        core.to_str(),
        pad=ids["<pad>"],
        eos=ids["</s>"],
        bos=ids.get("<s>"),
        label="the trained tokenizer",
        about={"padding_side": "right"} if family == "encoder-decoder" else {},
    )


def _lists(batches: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    for batch in batches:
        yield list(batch)
