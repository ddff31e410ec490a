"""The tokenizer: training, ids, special tokens, and what transformers makes of the saved folder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from xmtf.errors import ConfigError, SourceError
from xmtf.tokens.tokenizer.loading import load_tokenizer
from xmtf.tokens.tokenizer.tokenizer import Tokenizer
from xmtf.tokens.tokenizer.training import train_tokenizer

TEXTS = ["the quick brown fox jumps over the lazy dog", "देश की राजधानी", "你好。世界", "def f(x): return x"] * 20
SAMPLES = ["the fox", " राजधानी", "unseen: ქართული \n\t🙂", "</s> inside", ""]


@pytest.fixture(scope="module")
def causal() -> Tokenizer:
    return train_tokenizer([TEXTS], 350, "causal")


def test_special_ids_are_those_of_bloom_and_mt5(causal: Tokenizer) -> None:
    assert [causal.token(i) for i in range(4)] == ["<unk>", "<s>", "</s>", "<pad>"]
    assert (causal.pad, causal.eos, causal.bos) == (3, 2, 1)
    encoder_decoder = train_tokenizer([TEXTS], 350, "encoder-decoder")
    assert [encoder_decoder.token(i) for i in range(3)] == ["<pad>", "</s>", "<unk>"]
    assert (encoder_decoder.pad, encoder_decoder.eos, encoder_decoder.bos) == (0, 1, None)


def test_any_text_comes_back(causal: Tokenizer) -> None:
    assert causal.vocab_size == 334  # the texts give no more
    for text, ids in zip(SAMPLES, causal.encode(SAMPLES), strict=True):
        assert ids.dtype == np.int32
        assert causal.decode(ids, keep_special=True) == text
    assert causal.decode([*causal.encode(["fox"])[0], causal.eos, causal.pad]) == "fox"


def test_flat_encoding_is_the_same(causal: Tokenizer) -> None:
    flat, sizes = causal.encode_flat(SAMPLES)
    apart = causal.encode(SAMPLES)
    assert sizes.tolist() == [len(ids) for ids in apart]
    assert flat.tolist() == np.concatenate(apart).tolist()


def test_training_again_gives_the_same_tokenizer(causal: Tokenizer) -> None:
    again = train_tokenizer([TEXTS[:10], TEXTS[10:]], 350, "causal")
    assert again.fingerprint == causal.fingerprint


def test_blooms_pre_tokenisation(causal: Tokenizer) -> None:
    """Words take their space along; punctuation of several scripts stands apart; no merge crosses a space."""
    for word in ("the fox", "fox।", "fox，dog"):
        tokens = [causal.token(i) for i in causal.encode([word])[0]]
        assert "".join(tokens).count("Ġ") == word.count(" ")
    assert causal.token(causal.encode(["a the"])[0][1]) == "Ġthe"


@pytest.mark.parametrize("family", ["causal", "encoder-decoder"])
def test_saved_folder_is_read_back_and_by_transformers(tmp_path: Path, family: str) -> None:
    from transformers import AutoTokenizer

    trained = train_tokenizer([TEXTS], 350, family)  # type: ignore[arg-type]
    trained.save(tmp_path)
    ours, theirs = load_tokenizer(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert (ours.fingerprint, ours.pad, ours.eos, ours.bos) == (
        trained.fingerprint,
        trained.pad,
        trained.eos,
        trained.bos,
    )
    assert (theirs.pad_token_id, theirs.eos_token_id, theirs.bos_token_id) == (trained.pad, trained.eos, trained.bos)
    for text, ids in zip(SAMPLES, ours.encode(SAMPLES), strict=True):
        assert theirs(text).input_ids == ids.tolist()
        assert theirs.decode(ids) == text


def test_a_tokenizer_json_file_takes_its_neighbours_along(tmp_path: Path, causal: Tokenizer) -> None:
    causal.save(tmp_path)
    assert load_tokenizer(tmp_path / "tokenizer.json").fingerprint == causal.fingerprint


def test_special_ids_by_number_and_the_missing_ones(tmp_path: Path, causal: Tokenizer) -> None:
    causal.save(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(ConfigError, match="has no end-of-text token"):
        load_tokenizer(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    loaded = load_tokenizer(tmp_path)
    assert (loaded.eos, loaded.pad, loaded.bos) == (2, 2, None)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<end>"}}))
    with pytest.raises(ConfigError, match="'<end>' is not in its vocabulary"):
        load_tokenizer(tmp_path)


def test_truncation_in_the_file_is_not_followed(tmp_path: Path, causal: Tokenizer) -> None:
    causal.save(tmp_path)
    value = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    value["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    (tmp_path / "tokenizer.json").write_text(json.dumps(value), encoding="utf-8")
    assert len(load_tokenizer(tmp_path).encode(["the quick brown fox"])[0]) > 2


def test_what_is_not_there_or_does_not_fit(tmp_path: Path, causal: Tokenizer) -> None:
    with pytest.raises(SourceError, match="looked in"):
        load_tokenizer(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="not found on the hub"):
        load_tokenizer("nobody/nothing-here", offline=True)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"not a tokenizer\.json"):
        load_tokenizer(tmp_path)
    shutil.rmtree(tmp_path)
    tmp_path.mkdir()
    with pytest.raises(ConfigError, match=r"it has no tokenizer\.json"):
        load_tokenizer(tmp_path)
    with pytest.raises(ConfigError, match=r"334 tokens, but the model has room for 300"):
        causal.require_fit(300, "the model")
    with pytest.raises(ConfigError, match="leaves no room"):
        train_tokenizer([TEXTS], 258, "causal")
