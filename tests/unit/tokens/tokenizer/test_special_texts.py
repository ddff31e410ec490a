"""Text that looks like special tokens: the ids of the same tokenizer without them, by three independent references."""

import io

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, trainers

from xmtf.errors import DataError
from xmtf.tokens.build.encode import Ends, encode_pairs
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.special_texts import SpecialTexts
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.words import BLOOM_WORDS, encode_plainly

pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

SPECIAL = ["<unk>", "<s>", "</s>", "<pad>", "<|endoftext|>"]
CORPUS = ["It says </ s> twice < pad >. <|end|> of text, s and unk.", "देश की राजधानी 你好 café"] * 4
PIECES = st.sampled_from(
    [*SPECIAL, "<", ">", "/", "s", " ", "  ", "a", "It says", "\n", "é", "你好", "<tool>", "[CLS]"]
)


def spelt_bytes(text):
    """Return the bytes of a text as a byte-level vocabulary spells them."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(piece for piece, _ in level.pre_tokenize_str(text))


TEXTS = st.lists(PIECES, max_size=7).map("".join)


def bpe(**options):
    core = tokenizers.Tokenizer(models.BPE(**options))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(BLOOM_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    core.add_tokens([AddedToken("<tool>", special=False)])
    core.add_special_tokens([AddedToken("[CLS]", lstrip=True, rstrip=True)])  # behind an ordinary one: ids must stay
    return core


def word_piece():
    core = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", *SPECIAL], show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    return core


def of(core, eos="</s>", pad="<pad>"):
    return Tokenizer(core.to_str(), pad=core.token_to_id(pad), eos=core.token_to_id(eos), bos=core.token_to_id("<s>"))


CORES = {"BPE": bpe(), "whole words": bpe(ignore_merges=True), "WordPiece": word_piece()}
READERS = {name: of(core).reading("text") for name, core in CORES.items()}


@pytest.mark.parametrize("name", CORES)
@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=150, deadline=None)
def test_ids_are_those_of_the_package_when_it_encodes_special_tokens(name, texts):
    core = tokenizers.Tokenizer.from_str(CORES[name].to_str())
    core.encode_special_tokens = True
    expected = [encoding.ids for encoding in core.encode_batch(texts, add_special_tokens=False)]
    if name == "whole words":  # the package still takes a whole word for the token of that spelling
        special = {core.token_to_id(token) for token in SPECIAL}
        texts = [text for text, ids in zip(texts, expected, strict=True) if not special & set(ids)]
        expected = [ids for ids in expected if not special & set(ids)]
    assert [ids.tolist() for ids in READERS[name].encode(texts)] == expected


@pytest.mark.parametrize("name", CORES)
@given(texts=st.lists(TEXTS, max_size=4))
@settings(max_examples=100, deadline=None)
def test_no_special_id_comes_of_a_text_and_its_characters_stay(name, texts):
    reader = READERS[name]
    special = {reader.find(token) for token in SPECIAL if token != "<unk>"}
    for text, ids in zip(texts, reader.encode(texts), strict=True):
        assert not special & set(ids.tolist())
        if name != "WordPiece":
            spelt = "".join(reader.token(number) for number in ids)
            assert spelt.replace("<tool>", "") == spelt_bytes(text.replace("<tool>", ""))


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_ids_are_those_of_sentencepiece(tmp_path, byte_fallback):
    sentencepiece = pytest.importorskip("sentencepiece")
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 20), model_writer=out, vocab_size=400, model_type="unigram",
        normalization_rule_name="nmt_nfkc", byte_fallback=byte_fallback, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        minloglevel=2, num_threads=1, hard_vocab_limit=False,
    )  # fmt: skip
    (tmp_path / "spiece.model").write_bytes(out.getvalue())
    parsing = load_tokenizer(tmp_path)
    reader = parsing.reading("text")
    processor = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    texts = [
        "It says </s> twice.",
        "</s>",
        "<pad> a",
        "a<unk>b",
        "＜/s＞ is full width",
        "ordinary",
        "\u2603 unknown",
        "",
    ]
    assert [ids.tolist() for ids in reader.encode(texts)] == processor.encode(texts)
    assert parsing.eos in parsing.encode(texts)[0].tolist()
    assert set(reader.special_texts) == {"</s>", "<pad>", "<unk>"}


def test_ordinary_added_tokens_and_all_ids_stay():
    parsing = of(CORES["BPE"])
    reader = parsing.reading("text")
    tool = parsing.find("<tool>")
    assert tool == parsing.find("[CLS]") - 1
    (ids,) = reader.encode(["</s><tool> [CLS] a"])
    assert tool in ids.tolist()
    assert parsing.find("[CLS]") not in ids.tolist()
    assert "".join(reader.token(number) for number in ids) == "</s><tool>Ġ[CLS]Ġa"


def test_texts_without_special_tokens_are_encoded_once_and_alike(monkeypatch):
    parsing = of(CORES["BPE"])
    reader = parsing.reading("text")
    monkeypatch.setattr(SpecialTexts, "core", property(lambda self: pytest.fail("encoded again")))
    for texts in ([*CORPUS, "s > a", "<", ""], [], [""]):
        one, other = parsing.encode_flat(texts), reader.encode_flat(texts)
        assert all(np.array_equal(*pair) and pair[0].dtype == pair[1].dtype for pair in zip(one, other, strict=True))
    assert not reader.special_texts


def test_unknown_characters_are_no_special_tokens():
    core = CORES["WordPiece"]
    reader = of(core).reading("text")
    assert reader.encode(["\u2603"])[0].tolist() == encode_plainly(core, ["\u2603"])[0].tolist()
    assert not reader.special_texts


def test_rows_of_both_sides_are_counted():
    reader = of(CORES["BPE"]).reading("text")
    inputs, targets = pa.array(["a </s>", "b", "a </s>"]), pa.array(["x", "<pad></s>", "y"])
    pairs = encode_pairs(reader, inputs, targets, Ends(False))
    assert {reader.token(token): count for token, count in pairs.special.items()} == {"</s>": 3, "<pad>": 1}
    ends = np.cumsum(pairs.target_sizes) - 1
    assert np.flatnonzero(pairs.targets == reader.eos).tolist() == ends.tolist()
    parsed = encode_pairs(of(CORES["BPE"]), inputs, targets, Ends(False))
    assert (parsed.targets == reader.eos).sum() == 4
    assert not parsed.special


@pytest.mark.parametrize("name", CORES)
@pytest.mark.parametrize("how", ["text", "parse"])
def test_half_of_a_character_is_refused(name, how):
    with pytest.raises(DataError, match=r"'a \\ud800': contains half a character"):
        of(CORES[name]).reading(how).encode(["b", "a \ud800"])
