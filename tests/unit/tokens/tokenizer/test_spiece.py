"""A folder with only ``spiece.model``, as mT5's: the ids of sentencepiece, or refused."""

import io
import json
import random
import unicodedata

import pytest

from xmtf.errors import ConfigError, DataError
from xmtf.tokens.tokenizer import spiece
from xmtf.tokens.tokenizer.loading import load_tokenizer

sentencepiece = pytest.importorskip("sentencepiece")
pytestmark = pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning")

CORPUS = [*spiece._names(), "the cat sat on the mat.", "Yes", "No", "Which language is it?"] * 2


def trained(**options):
    """Return a model of SentencePiece with mT5's settings."""
    out = io.BytesIO()
    settings = {
        "vocab_size": 4000, "model_type": "unigram", "normalization_rule_name": "nmt_nfkc", "byte_fallback": True,
        "character_coverage": 0.9995, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1, "minloglevel": 2,
        "num_threads": 1, "hard_vocab_limit": False,
    }  # fmt: skip
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(CORPUS), model_writer=out, **(settings | options))
    return out.getvalue()


@pytest.fixture(scope="module")
def mt5():
    return trained()


def placed(folder, model, **files):
    (folder / "spiece.model").write_bytes(model)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def texts():
    """Return names from CLDR in every script, odd ones, and random runs of spaces and control characters."""
    draw = random.Random(0)
    mixed = ["".join(draw.choice("ab \t\n\0\x1b\u200b\xa0\u3000c.") for _ in range(14)) for _ in range(300)]
    return [*spiece._names(), *spiece._ODD, *mixed]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byte_fallback": False},
        {"normalization_rule_name": "identity"},
        {"add_dummy_prefix": False},
    ],
    ids=str,
)
def test_ids_are_those_of_sentencepiece(tmp_path, options, mt5):
    model = trained(**options) if options else mt5
    tokenizer = load_tokenizer(placed(tmp_path, model))
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert len(spiece._names()) >= 1000
    assert len({unicodedata.name(text[0], "").partition(" ")[0] for text in spiece._names() if text}) > 30
    for text, ids in zip(texts(), tokenizer.encode(texts()), strict=True):
        assert ids.tolist() == theirs.encode(text), text
        if 2 not in ids:  # sentencepiece spells what it does not know
            assert tokenizer.decode(ids) == theirs.decode(ids.tolist()), text
    assert (tokenizer.pad, tokenizer.eos, tokenizer.bos) == (0, 1, None)
    assert tokenizer.vocab_size == theirs.vocab_size()


@pytest.mark.parametrize(
    ("files", "extra"),
    [
        ({}, 0),
        ({"config": {"model_type": "mt5"}}, 0),
        ({"config": {"model_type": "t5"}}, 100),
        ({"tokenizer_config": {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}}, 100),
        ({"tokenizer_config": {"extra_ids": 0}, "config": {"model_type": "t5"}}, 0),
    ],
)
def test_extra_ids_stand_behind_the_vocabulary_the_last_first(tmp_path, mt5, files, extra):
    import transformers

    tokenizer = load_tokenizer(placed(tmp_path, mt5, **files))
    size = sentencepiece.SentencePieceProcessor(model_proto=mt5).vocab_size()
    assert tokenizer.vocab_size == size + extra
    if extra:
        assert (tokenizer.find("<extra_id_0>"), tokenizer.find("<extra_id_99>")) == (size + 99, size)
        assert tokenizer.encode(["a<extra_id_1>"])[0].tolist()[-1] == size + 98
    tokenizer.save(tmp_path / "out")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert theirs.encode("the cat") == [*tokenizer.encode(["the cat"])[0].tolist(), 1]
    assert (theirs.padding_side, theirs.pad_token_id, theirs.eos_token_id) == ("right", 0, 1)
    assert load_tokenizer(tmp_path / "out").begin == ()


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "bpe"},
        {"remove_extra_whitespaces": False},
        {"treat_whitespace_as_suffix": True},
        {"user_defined_symbols": ["the cat", "  "]},
    ],
    ids=str,
)
def test_what_cannot_be_repeated_exactly_is_refused(tmp_path, options):
    placed(tmp_path, trained(**options))
    with pytest.raises(
        ConfigError, match=r"spiece.model: (is not a unigram|a fast tokenizer gives different ids).*tokenizer.json"
    ):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b"not a model"])
def test_a_damaged_file_is_one_line(tmp_path, content):
    placed(tmp_path, content)
    with pytest.raises(DataError, match="incomplete or damaged SentencePiece file"):
        load_tokenizer(tmp_path)


def test_a_file_that_is_cut_short_is_no_other_tokenizer(tmp_path, mt5):
    whole = sentencepiece.SentencePieceProcessor(model_proto=mt5)
    for share in (0.1, 0.5, 0.9, 0.999):
        placed(tmp_path, mt5[: int(len(mt5) * share)])
        try:
            tokenizer = load_tokenizer(tmp_path)
        except (ConfigError, DataError):
            continue
        assert tokenizer.encode(["the cat  sat"])[0].tolist() == whole.encode("the cat  sat")


def test_texts_that_nfc_composes_and_sentencepiece_does_not_are_counted(tmp_path, mt5):
    tokenizer = load_tokenizer(placed(tmp_path, mt5))
    theirs = sentencepiece.SentencePieceProcessor(model_proto=mt5)
    names = [name for name in spiece._names() if len(name) < 60]
    decomposed = [unicodedata.normalize("NFD", name) for name in names] + ["\u0627\u064e\u0654\u063a\u064f\u0633"]
    for text in decomposed:
        known = tokenizer.composed_texts
        if tokenizer.encode([text])[0].tolist() != theirs.encode(text):
            assert tokenizer.composed_texts == known + 1, ascii(text)
    assert tokenizer.encode(decomposed[-1:])[0].tolist() != theirs.encode(decomposed[-1])
    again = load_tokenizer(tmp_path)
    again.encode([unicodedata.normalize("NFC", name) for name in names])
    assert again.composed_texts == 0
    again.save(tmp_path / "saved")
    saved = load_tokenizer(tmp_path / "saved").reading("text")
    saved.encode(decomposed[-1:])
    assert saved.composed_texts == 1
