"""Word by word and plainly: the same ids, for any text."""

import json
import sys
from collections.abc import Callable

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from xmtf.tokens.tokenizer import words
from xmtf.tokens.tokenizer.training import train_tokenizer
from xmtf.tokens.tokenizer.words import BLOOM_WORDS, WordEncoder, encode_plainly, word_cutter

LLAMA_3 = next(pattern for pattern in words._CUT_AT_SPACE if "{1,3}" in pattern)
TEXTS = [
    "Don't stop, won't: (yes) [no] a||b. 12345  67 a1b2",
    "देश की राजधानी।  क्या है? 你好，世界。",
    "def f(x):\n\treturn x + 1\r\n\n  # done ",
]
CUTTERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "BLOOM": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(BLOOM_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
    "GPT-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "SmolLM": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
    "Llama 3": lambda: pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(LLAMA_3), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    ),
}


def _train(cutter: pre_tokenizers.PreTokenizer) -> tokenizers.Tokenizer:
    core = tokenizers.Tokenizer(models.BPE())
    core.pre_tokenizer = cutter
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(TEXTS * 3, trainer)
    return core


CORES = {name: _train(cutter()) for name, cutter in CUTTERS.items()}
ENCODERS = {name: WordEncoder.of(core, core.to_str()) for name, core in CORES.items()}
PIECES = st.sampled_from(
    [" ", "  ", "\n", "\t ", "\xa0", "\u3000", "\x1c", "a", "The", "'s", "9", "12", "é", "e\u0301"]
)
MORE_PIECES = st.sampled_from(
    [".", "..", ",", "(", ")", "|", "[", "]", "।", "，", "你好", "की", "</s>", "<unk>", "🙂", "\x00"]
)


@pytest.mark.parametrize("name", CUTTERS)
@given(texts=st.lists(st.lists(PIECES | MORE_PIECES | st.text(max_size=3), max_size=12).map("".join), max_size=5))
@settings(deadline=None, max_examples=200)
def test_same_ids_as_plainly(name: str, texts: list[str]) -> None:
    encoder = ENCODERS[name]
    assert encoder is not None
    ours, plain = encoder.encode(texts), encode_plainly(CORES[name], texts)
    assert [side.tolist() for side in ours] == [side.tolist() for side in plain]


def test_every_character_is_cut_as_the_tokenizer_cuts_it() -> None:
    """The basic plane and every 17th character beyond, each between letters and between spaces."""
    cutter = CUTTERS["BLOOM"]()
    numbers = [*range(1, 0x3100), *range(0x3100, sys.maxunicode + 1, 17)]
    characters = [chr(number) for number in numbers if not 0xD800 <= number < 0xE000]
    for shape in ("a{}b", "a {} b"):
        for first in range(0, len(characters), 5000):
            text = "".join(shape.format(c) for c in characters[first : first + 5000])
            theirs = [text[slice(*span)] for _, span in cutter.pre_tokenize_str(text)]
            assert words._BLOOM_PIECES.findall(text) == theirs


def test_forgetting_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MOST_CHARACTERS", 10)
    core = CORES["BLOOM"]
    encoder = WordEncoder.of(core, core.to_str())
    assert encoder is not None
    for _ in range(3):
        assert encoder.encode(TEXTS)[0].tolist() == encode_plainly(core, TEXTS)[0].tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}},
        {"model": {"type": "Unigram"}},
    ],
)
def test_other_tokenizers_go_plainly(change: dict[str, object]) -> None:
    description = json.loads(train_tokenizer([TEXTS], 300, "causal")._text)
    assert word_cutter(description) is not None
    assert word_cutter(description | change) is None
